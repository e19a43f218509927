"""JSON from outside, read without trust: what is of the wrong type is a fault with its path, and reading goes on."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, cast

import msgspec

from records.channels.errors import NotUnderstood

EPOCH: Final = datetime.fromtimestamp(0, UTC)
"""Stands for a time that is a fault; it never leaves a normaliser."""


class Part(NamedTuple):
    """An object within a payload. What is not there is empty; `faults` are those of the whole payload."""

    fields: dict[str, Any]
    path: str
    faults: list[str]

    def text(self, name: str) -> str:
        value = self.fields.get(name)
        if value is None or isinstance(value, str):
            return value or ""
        self._fault(name, "is no text")
        return ""

    def id(self, name: str) -> str:
        """An id may be written as a number."""
        value = self.fields.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        return self.text(name)

    def needed(self, name: str) -> str:
        """An id without which there is no message."""
        found = self.id(name)
        if not found and self.fields.get(name) in (None, ""):
            self._fault(name, "is missing")
        return found

    def size(self, name: str) -> int | None:
        value = self.fields.get(name)
        if value is None:
            return None
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 53:
            return value
        self._fault(name, "is no size")
        return None

    def time(self, name: str) -> datetime:
        """Seconds since 1970, as a number or as text."""
        try:
            return datetime.fromtimestamp(int(self.needed(name) or "0"), UTC)
        except (ValueError, OverflowError, OSError):
            self._fault(name, "is no time in seconds")
            return EPOCH

    def moment(self, name: str, otherwise: datetime | None) -> datetime:
        """ISO 8601; without a zone it is UTC. A fault when it is missing, and so is `otherwise`."""
        said = self.text(name)
        try:
            if said:
                found = datetime.fromisoformat(said)
                return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, OverflowError):
            self._fault(name, "is no time")
            return EPOCH
        if otherwise is None:
            self._fault(name, "is missing, and when it came is not said")
        return otherwise or EPOCH

    def part(self, name: str) -> Part:
        value = self.fields.get(name)
        if value is not None and not isinstance(value, dict):
            self._fault(name, "is no object")
        found = cast(dict[str, Any], value) if isinstance(value, dict) else {}
        return Part(found, f"{self.path}/{name}", self.faults)

    def parts(self, name: str) -> list[Part]:
        value = self.fields.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            self._fault(name, "is no list")
            return []
        found: list[Part] = []
        for place, one in enumerate(cast(list[Any], value)):
            if isinstance(one, dict):
                found.append(
                    Part(cast(dict[str, Any], one), f"{self.path}/{name}/{place}".replace("//", "/"), self.faults)
                )
            else:
                self._fault(f"{name}/{place}".lstrip("/"), "is no object")
        return found

    def _fault(self, name: str, fault: str) -> None:
        self.faults.append(f"{self.path}/{name} {fault}")


def document(body: bytes) -> Part:
    """The payload as a whole. Raises NotUnderstood when it is no JSON object."""
    value = parsed(body)
    if not isinstance(value, dict):
        raise NotUnderstood(["it is no JSON object"])
    return Part(cast(dict[str, Any], value), "", [])


def parsed(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise NotUnderstood(["it is no JSON"]) from None
    except RecursionError:
        raise NotUnderstood(["its JSON is nested too deeply"]) from None


def objects(body: bytes, faults: list[str]) -> list[Part]:
    """An object, or a list of them. Raises NotUnderstood when it is neither."""
    value = parsed(body)
    if isinstance(value, dict):
        return [Part(cast(dict[str, Any], value), "", faults)]
    if isinstance(value, list):
        return Part({"": value}, "", faults).parts("")
    raise NotUnderstood(["it is no JSON object, and no list of them"])


def check(part: Part) -> None:
    """Raises NotUnderstood with everything that was found so far."""
    if part.faults:
        raise NotUnderstood(part.faults)
