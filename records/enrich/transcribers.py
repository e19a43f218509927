"""Transcription, by a command or by an HTTP service that speaks OpenAI's protocol (whisper.cpp, vLLM, LocalAI, ...)."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from records.enrich.ports import SkillFailed, SkillUnavailable
from records.enrich.programs import output

if TYPE_CHECKING:
    import httpx

_LONGEST_REASON: Final = 200


class CommandTranscriber:
    """`command` gets the recording on its standard input and says the text; `{language}` in it stands for the ISO 639-1
    language, `{type}` for the media type. `seconds` is how long it may take."""

    def __init__(self, command: Sequence[str], *, seconds: float = 300.0) -> None:
        self.name = command[0]
        self._command = tuple(command)
        self._seconds = seconds

    async def version(self) -> str:
        return "command" if shutil.which(self._command[0]) else ""

    async def transcribe(self, content: bytes, media_type: str, language: str) -> str:
        """Raises SkillFailed, SkillUnavailable."""
        command = [each.replace("{language}", language).replace("{type}", media_type) for each in self._command]
        said = await output(command, content, seconds=self._seconds)
        return said.decode(errors="replace").strip()


class HttpTranscriber:
    """`url` is up to `/v1`; `client` has its time limits, and is not closed here."""

    def __init__(self, client: httpx.AsyncClient, url: str, model: str, *, token: str = "") -> None:
        self.name = model
        self._client = client
        self._url = url.rstrip("/") + "/audio/transcriptions"
        self._model = model
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    async def version(self) -> str:
        return "http"

    async def transcribe(self, content: bytes, media_type: str, language: str) -> str:
        """Raises SkillFailed, SkillUnavailable."""
        import httpx

        try:
            answer = await self._client.post(
                self._url,
                headers=self._headers,
                data={"model": self._model, "language": language, "response_format": "json"},
                files={"file": (f"recording.{media_type.rpartition('/')[2]}", content, media_type)},
            )
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise SkillUnavailable(f"{self._url} is not reached: {error}") from error
        except httpx.HTTPError as error:
            raise SkillFailed(f"{self._url} did not answer: {error}") from error
        if answer.is_error:
            raise SkillFailed(f"{self._url} answered {answer.status_code}: {answer.text[:_LONGEST_REASON]}")
        return _text(answer)


def _text(answer: httpx.Response) -> str:
    import msgspec

    try:
        return str(msgspec.json.decode(answer.content)["text"]).strip()
    except (msgspec.MsgspecError, KeyError, TypeError) as error:
        raise SkillFailed(f"the answer has no text: {answer.text[:_LONGEST_REASON]}") from error
