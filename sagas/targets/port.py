"""The target port: everything a deployment asks of the place where releases run.

Every effect is named by an idempotency key. Doing a key again answers what it answered the first time and has no
second effect, however often and however late it is asked. Undoing a key that was never done leaves a tombstone:
a delayed `do` that arrives after its own undo is refused. So a caller that crashed, or got no answer, may simply
ask again, or ask `effect(key)` what became of it.

    do                  undo             restores
    allocate            free             the port is nobody's
    start               stop             no process
    switch              switch_back      the front is split as it was before this key, also leads nowhere
    retire              unretire         the same release runs again at the same port and listens

TargetError
├── TargetRefused       it can never be done like this; every fault is named at once
├── TargetUnavailable   nothing is known of the outcome; ask again
│   └── TargetUnreachable   there is no connection to the target at all
└── ReleaseFailed       the target did its part, the release did not (it exited at start, its port is taken)
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, Literal, Protocol

from msgspec import Struct

from domain.measurement import Reading

EffectState = Literal["absent", "kept", "undone"]
LogStream = Literal["stdout", "stderr"]

_NAME: Final = re.compile(r"[A-Za-z0-9_-]+")
_KEY_LENGTH: Final = 200
_FRONT_LENGTH: Final = 300
_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")


class Release(Struct, frozen=True, forbid_unknown_fields=True):
    """A program that listens for HTTP on the port it is given (`PORT` in its environment).

    `working_directory` None: an empty directory of the release's own.
    """

    program: str
    arguments: tuple[str, ...] = ()
    environment: dict[str, str] = {}
    health_path: str = "/health"
    working_directory: str | None = None


class Allocation(Struct, frozen=True):
    """A place for one release."""

    port: int


class Health(Struct, frozen=True):
    """One probe of the health URL. Healthy: an answer from 200 to 399.

    `answered` is False while nothing listens, which says nothing about health yet; a release that accepts the
    probe and stays silent has answered, badly. `detail` names status, restarts and last exit code, for people.
    """

    healthy: bool
    answered: bool
    detail: str


class Effect(Struct, frozen=True):
    """What became of an effect. A kept one carries what it answered, as far as its operation answers it.

    `port`: allocate, start. `url`: start (the release itself), switch (the front). `previous`: switch; the release
    that had the greatest part of the front before, by its start key.
    """

    state: EffectState
    port: int | None = None
    url: str | None = None
    previous: str | None = None


class Front(Struct, frozen=True):
    """A traffic entry. Its URL stays the same for ever.

    `weights` by the start keys of the releases it leads to, as they were asked for; empty: it leads nowhere.
    """

    port: int
    url: str
    weights: dict[str, int] = {}


class Running(Struct, frozen=True):
    """A release that runs, or is meant to. `pid` is None between a crash and the restart.

    `errors` counts answers from 500 on and requests that got none; `in_flight` are being answered now.
    """

    start_key: str
    port: int
    pid: int | None
    restarts: int
    last_exit: int | None
    requests: int
    in_flight: int
    errors: int


class LogLine(Struct, frozen=True):
    """A line that a release wrote; numbers start at 1 and have no gaps, except where old lines were dropped."""

    number: int
    time: datetime
    stream: LogStream
    text: str


class TargetError(Exception):
    """Root of the tree above."""


class TargetRefused(TargetError):
    """Permanent: the same call will be refused again."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = tuple(faults)


class TargetUnavailable(TargetError):
    """The target gave no answer, or cannot act now. The same call may be made again, with the same key."""


class TargetUnreachable(TargetUnavailable):
    """It takes no connections, or broke this one off without an answer."""


class ReleaseFailed(TargetError):
    """The release itself does not run; nothing of the effect is left."""


def check_key(*keys: str) -> None:
    """Raises TargetRefused unless every key is 1 to 200 of `A-Z a-z 0-9 _ -`."""
    _check("key", _KEY_LENGTH, keys)


def check_front(front: str) -> None:
    """Raises TargetRefused unless the name is 1 to 300 of `A-Z a-z 0-9 _ -`."""
    _check("front", _FRONT_LENGTH, (front,))


def check_split(weights: Mapping[str, int], *headers: str | None) -> None:
    """Raises TargetRefused unless there is a positive weight, none below 0, and every header could be one's name."""
    faults = [f"the weight of {key} is {weight}" for key, weight in weights.items() if weight < 0]
    if not any(weight > 0 for weight in weights.values()):
        faults.append("no release has a weight above 0")
    faults += [f"{name[:60]!r} is no header" for name in headers if name is not None and not _HEADER.fullmatch(name)]
    if faults:
        raise TargetRefused(faults)


def _check(what: str, length: int, names: Sequence[str]) -> None:
    wrong = [name for name in names if len(name) > length or not _NAME.fullmatch(name)]
    if wrong:
        raise TargetRefused([f"the {what} {name[:60]!r} is not 1 to {length} of A-Z a-z 0-9 _ -" for name in wrong])


class Target(Protocol):
    """All methods raise TargetUnavailable; those with arguments to check raise TargetRefused."""

    async def validate(self, release: Release) -> None:
        """Raises TargetRefused with all faults when the release could never run here."""
        ...

    async def allocate(self, key: str) -> Allocation: ...

    async def free(self, key: str) -> None:
        """Refused while a release runs there."""
        ...

    async def start(self, key: str, allocation_key: str, release: Release) -> str:
        """Start the release and keep it running. The key is from now on the release's name; answers its own URL.

        Raises ReleaseFailed when it exits at once or its port is taken. That it is healthy is not said.
        """
        ...

    async def stop(self, key: str) -> None: ...

    async def health(self, start_key: str) -> Health: ...

    async def switch(
        self,
        key: str,
        front: str,
        weights: Mapping[str, int],
        sticky_header: str | None = None,
        incident_header: str | None = None,
    ) -> str:
        """All new requests to the front are split over these releases (start keys); those in flight stay.

        Refused when one of them does not run. One that does not run later gets nothing, the others share its part.
        The headers and the order of the releases mean what they mean in `splitter.port.Route`.
        Answers the URL of the front, which is made when it is new.
        """
        ...

    async def switch_back(self, key: str) -> None:
        """A later switch of the same front stands; it is then as if this one had never been."""
        ...

    async def retire(self, key: str, start_key: str) -> None:
        """No new requests, wait a bounded time for those in flight, stop. What does not run here is retired."""
        ...

    async def unretire(self, key: str) -> None:
        """Raises ReleaseFailed when the release does not listen in time; it is then still retired."""
        ...

    async def effect(self, key: str) -> Effect:
        """What became of a key; waits while it is being done or undone."""
        ...

    async def front(self, front: str) -> Front | None:
        """None: no traffic was ever switched there."""
        ...

    async def measure(self, front: str) -> Reading:
        """What was counted of the front's releases; a crash of one is an error. Another epoch: it began at 0.

        No such front: all is empty.
        """
        ...

    async def inventory(self) -> tuple[Running, ...]:
        """Everything that runs or is meant to; nothing else of any release is running."""
        ...

    async def logs(self, start_key: str, after: int = 0, limit: int = 1000) -> tuple[LogLine, ...]:
        """The oldest lines kept with a number above `after`; empty for a release that never wrote one."""
        ...
