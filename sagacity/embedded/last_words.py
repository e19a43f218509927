"""What a process that ended had to say, as one sentence for people."""

from __future__ import annotations

import re
from typing import Final

_TRACEBACK: Final = "Traceback (most recent call last):"
_MARGIN: Final = re.compile(r"^\s*[|+] ?")
_LONGEST: Final = 500


def last_words(log: str) -> str:
    """The message of the exception that the log ends with, else its last line."""
    lines = [line for line in log.splitlines() if line.strip()]
    if not lines:
        return "it said nothing"
    return (_exception(lines) or lines[-1].strip())[:_LONGEST]


def _exception(lines: list[str]) -> str | None:
    """Of the last traceback: where it was raised is indented (in a group of exceptions, behind a margin)."""
    traces = [number for number, line in enumerate(lines) if line.endswith(_TRACEBACK)]
    if not traces:
        return None
    after = (_MARGIN.sub("", line) for line in lines[traces[-1] + 1 :])
    said = next((line for line in after if not line[0].isspace()), None)
    return None if said is None else _sentence(said)


def _sentence(said: str) -> str:
    """Our own exceptions, and those of libraries, have a module and tell in words; `KeyError: 'x'` needs its name."""
    name, colon, message = said.partition(": ")
    if " " in name:
        return said
    module, _, short = name.rpartition(".")
    return message if module and message else f"{short}{colon}{message}"
