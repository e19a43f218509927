"""What the platform and a process that works for it say to each other: MessagePack, in frames."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta, Struct

from domain.skill import Isolation
from skills.skill import Places, Security, System, User

MEGABYTE: Final = 1024 * 1024
LARGEST_ANSWER: Final = 64 * MEGABYTE
"""Bytes of the JSON that a skill gives."""


class Bounds(Struct, frozen=True):
    """Of one call in isolation, beside its own limits: bytes of one file and of all that it writes, processes."""

    file: int = 256 * MEGABYTE
    written: int = 1024 * MEGABYTE
    processes: int = 64


BOUNDS: Final = Bounds()


class Confinement(Struct, frozen=True):
    """`readable` are files and directories of Python; `room` is the call's own directory, empty at first."""

    isolation: Isolation
    readable: tuple[str, ...]
    listable: tuple[str, ...]
    room: str
    bounds: Bounds = BOUNDS


class Setup(Struct, frozen=True):
    """The first frame. None: the skills are trusted."""

    confinement: Confinement | None = None


class Call(Struct, frozen=True):
    """`input` and what comes back are JSON. `function` is its qualified name in the module."""

    module: str
    function: str
    input: bytes
    user: User
    system: System
    security: Security
    places: Places | None = None


class Told(Struct, frozen=True, tag="told"):
    fraction: float
    note: str = ""


class Done(Struct, frozen=True, tag="done"):
    output: bytes
    costs: tuple[Annotated[float, Meta(ge=0)], ...] = ()
    exchanges: tuple[str, ...] = ()


class Undone(Struct, frozen=True, tag="undone"):
    reason: str
    retryable: bool = True
    invalid: bool = False
    costs: tuple[Annotated[float, Meta(ge=0)], ...] = ()
    late: bool = False


Answer = Done | Undone
Said = Told | Done | Undone

SPENT_CPU: Final = 71
SPENT_MEMORY: Final = 72
SPENT_PROCESSES: Final = 73
SPENT_WRITES: Final = 74
"""Exit codes of a guardian: which limit all processes of a call together have reached."""
