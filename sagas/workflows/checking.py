"""Whether a document is what a JSON schema says; each schema is compiled once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from skills.validators import Validators

_REMEMBERED: Final = 1_000
_NAMED: Final = 10
_LONGEST: Final = 300
"""Faults, and characters of one, that are told."""


class Checks:
    """One a process."""

    def __init__(self) -> None:
        self._validators = Validators(_REMEMBERED)

    def faults(self, schema: dict[str, Any], document: Any) -> list[str]:
        """The first of them, each with where it is. A schema that is none itself is a fault."""
        if not schema:
            return []
        try:
            errors: Iterator[Any] = self._validators.of(schema).iter_errors(document)  # pyright: ignore[reportUnknownMemberType]
            return [_told(error) for error, _ in zip(errors, range(_NAMED), strict=False)]
        except Exception as error:
            # Whatever a library makes of a schema that is none: it is the skill's fault, not this process's.
            return [f"the schema cannot be applied: {error}"[:_LONGEST]]


def _told(error: Any) -> str:
    where = "".join(f"/{part}" for part in error.absolute_path) or "/"
    return f"{where}: {error.message}"[:_LONGEST]
