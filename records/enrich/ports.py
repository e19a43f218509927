"""Skills that something outside has to provide: translation and transcription."""

from __future__ import annotations

from typing import Protocol


class SkillFailed(Exception):
    """The provider was there and did not do it. The message is the reason, for people."""


class SkillUnavailable(Exception):
    """The provider is not installed, not reached, or does not know these languages."""


class Translator(Protocol):
    name: str

    async def version(self) -> str:
        """Empty where it is not installed. Never raises."""
        ...

    async def translate(self, text: str, source: str, target: str) -> tuple[str, float]:
        """The text, and the share of its words that were known, between 0 and 1. Languages are ISO 639-1.

        Raises SkillFailed, SkillUnavailable."""
        ...


class Transcriber(Protocol):
    name: str

    async def version(self) -> str:
        """Empty where it is not installed. Never raises."""
        ...

    async def transcribe(self, content: bytes, media_type: str, language: str) -> str:
        """What is said; `language` (ISO 639-1) is what is probably spoken. Raises SkillFailed, SkillUnavailable."""
        ...
