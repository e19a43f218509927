"""What the process host remembers, and the pure rules by which it changes.

Every effect is an entry under its key. An operation that takes time writes its intent first (`doing`, `undoing`),
and in the same write takes the release it is about from `wanted`: after a crash of the host only wanted releases
are started again, so whatever an intent was about is not running, and `settle` closes all intents the same way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

from msgspec import Struct, structs

from sagas.targets.port import Effect, Release, TargetRefused
from sagas.targets.splitter.port import Arm, Route

_ENTRIES_KEPT: Final = 4000
"""About a thousand deployments; older closed entries that nothing refers to are forgotten."""

_SWITCHES_KEPT: Final = 100


To = str | dict[str, int]
"""Weights by start key. The first hosts split nothing: a state that they wrote names the one release."""


def weights(to: To) -> dict[str, int]:
    return {to: 1} if isinstance(to, str) else to


class Allocate(Struct, frozen=True, tag="allocate"):
    pass


class Start(Struct, frozen=True, tag="start"):
    allocation: str
    release: Release


class Switch(Struct, frozen=True, tag="switch"):
    front: str
    to: To
    sticky_header: str | None = None
    incident_header: str | None = None


class Retire(Struct, frozen=True, tag="retire"):
    release: str


Operation = Allocate | Start | Switch | Retire
Undo = Literal["free", "stop", "switch_back", "unretire"]
UNDOES: Final[dict[Undo, type[Operation]]] = {
    "free": Allocate,
    "stop": Start,
    "switch_back": Switch,
    "unretire": Retire,
}


class Entry(Struct, frozen=True):
    """`operation` is None in a tombstone: all that matters of an undone key is that it is undone."""

    phase: Literal["doing", "kept", "undoing", "undone"]
    operation: Operation | None = None
    answer: Effect = Effect("kept")


TOMBSTONE: Final = Entry("undone", None, Effect("undone"))


class Switched(Struct, frozen=True):
    key: str
    to: To
    sticky_header: str | None = None
    incident_header: str | None = None


class FrontRecord(Struct, frozen=True):
    """Its switches in force, oldest first; the last one says where it leads."""

    port: int
    switches: tuple[Switched, ...] = ()

    @property
    def weights(self) -> dict[str, int]:
        return weights(self.switches[-1].to) if self.switches else {}


class HostState(Struct, frozen=True):
    """`wanted` are the start keys of the releases that shall run, oldest first."""

    entries: dict[str, Entry] = {}
    wanted: tuple[str, ...] = ()
    fronts: dict[str, FrontRecord] = {}

    def started(self, start_key: str) -> Start:
        """Raises TargetRefused when there is no such release (any more)."""
        entry = self.entries.get(start_key)
        if entry is None or not isinstance(entry.operation, Start):
            raise TargetRefused([f"there is no release {start_key}"])
        return entry.operation

    def port(self, allocation_key: str) -> int:
        """Raises TargetRefused when nothing is allocated under the key (any more)."""
        entry = self.entries.get(allocation_key)
        if entry is None or not isinstance(entry.operation, Allocate) or entry.answer.port is None:
            raise TargetRefused([f"no port is allocated under {allocation_key}"])
        return entry.answer.port

    def ports(self) -> set[int]:
        """All that are spoken for, whether or not anything listens there now."""
        allocated = {entry.answer.port for entry in self.entries.values() if isinstance(entry.operation, Allocate)}
        return {port for port in allocated if port is not None} | {front.port for front in self.fronts.values()}


Change = Callable[[HostState], HostState]
"""Raises TargetRefused when the rules do not allow it; then nothing changes."""


def first_answer(entry: Entry | None, operation: Operation) -> Effect | None:
    """What the key answered the first time; None when it is to be done now. Raises TargetRefused."""
    if entry is None:
        return None
    if entry.phase in ("undone", "undoing"):
        raise TargetRefused(["undone: this key has been undone and can never be done again"])
    if not _same(entry.operation, operation):
        raise TargetRefused(["this key already names another effect"])
    return entry.answer if entry.phase == "kept" else None


def allocated(state: HostState, key: str, port: int) -> HostState:
    return _with(state, key, Entry("kept", Allocate(), Effect("kept", port=port)))


def freed(state: HostState, key: str) -> HostState:
    for start_key, entry in state.entries.items():
        runs = start_key in state.wanted or entry.phase in ("doing", "undoing")
        if runs and isinstance(entry.operation, Start) and entry.operation.allocation == key:
            raise TargetRefused([f"the release {start_key} still runs at this port"])
    return buried(state, key)


def starting(state: HostState, key: str, start: Start) -> HostState:
    state.port(start.allocation)
    for other, entry in state.entries.items():
        if other != key and isinstance(entry.operation, Start) and entry.operation.allocation == start.allocation:
            raise TargetRefused([f"the port of {start.allocation} belongs to the release {other}"])
    return _with(state, key, Entry("doing", start))


def started(state: HostState, key: str, url: str) -> HostState:
    start = state.started(key)
    answer = Effect("kept", port=state.port(start.allocation), url=url)
    return _wanting(_with(state, key, Entry("kept", start, answer)), key)


def stopping(state: HostState, key: str) -> HostState:
    return _unwanting(_with(state, key, structs.replace(state.entries[key], phase="undoing")), key)


def switched(state: HostState, key: str, switch: Switch, port: int, url: str) -> HostState:
    for release in weights(switch.to):
        state.started(release)
        if release not in state.wanted:
            raise TargetRefused([f"the release {release} is not running"])
    front = state.fronts.get(switch.front, FrontRecord(port))
    switched = Switched(key, switch.to, switch.sticky_header, switch.incident_header)
    switches = (*front.switches, switched)[-_SWITCHES_KEPT:]
    before = front.weights
    answer = Effect("kept", url=url, previous=max(before, key=before.__getitem__, default=None))
    return _front(_with(state, key, Entry("kept", switch, answer)), switch.front, FrontRecord(front.port, switches))


def switched_back(state: HostState, key: str, switch: Switch) -> HostState:
    front = state.fronts[switch.front]
    switches = tuple(switched for switched in front.switches if switched.key != key)
    return _front(buried(state, key), switch.front, FrontRecord(front.port, switches))


def moved(state: HostState, front: str, port: int) -> HostState:
    """The front's port was taken while the host was away."""
    return _front(state, front, structs.replace(state.fronts[front], port=port))


def route(state: HostState, front: str) -> Route:
    """How requests to the front are split now: over those of its releases that shall run."""
    switches = state.fronts[front].switches
    if not switches:
        return Route()
    last = switches[-1]
    arms = tuple(
        Arm(key, state.port(state.started(key).allocation), weight)
        for key, weight in weights(last.to).items()
        if key in state.wanted
    )
    return Route(arms, last.sticky_header, last.incident_header)


def retiring(state: HostState, key: str, retire: Retire) -> HostState:
    """A release that this host never had is retired already: after a restore nothing of the past runs here."""
    entry = state.entries.get(key)
    ran = retire.release in state.wanted
    answer = entry.answer if entry else Effect("kept", previous=retire.release if ran else None)
    return _unwanting(_with(state, key, Entry("doing", retire, answer)), retire.release)


def retired(state: HostState, key: str) -> HostState:
    return _with(state, key, structs.replace(state.entries[key], phase="kept"))


def unretiring(state: HostState, key: str, retire: Retire) -> HostState:
    state.started(retire.release)
    return _with(state, key, structs.replace(state.entries[key], phase="undoing"))


def unretired(state: HostState, key: str, retire: Retire) -> HostState:
    if state.entries[retire.release].phase != "kept":
        raise TargetRefused([f"the release {retire.release} was stopped for good"])
    return _wanting(buried(state, key), retire.release)


def forgotten(state: HostState, key: str) -> HostState:
    return structs.replace(state, entries={name: entry for name, entry in state.entries.items() if name != key})


def buried(state: HostState, key: str) -> HostState:
    return _with(state, key, TOMBSTONE)


def settle(state: HostState) -> HostState:
    """Close the intents that a crash of the host left open: nothing of what they were about is running."""
    for key, entry in state.entries.items():
        match entry.phase:
            case "kept" | "undone":
                pass
            case "doing" | "undoing" if isinstance(entry.operation, Retire):
                state = retired(state, key)
            case "doing":
                state = forgotten(state, key)
            case "undoing":
                state = buried(state, key)
    return state


def prune(state: HostState, kept: int = _ENTRIES_KEPT) -> HostState:
    """Forget the oldest entries beyond `kept` that are closed and that nothing alive refers to."""
    surplus = len(state.entries) - kept
    if surplus <= 0:
        return state
    needed = {key for front in state.fronts.values() for key in front.weights} | set(state.wanted)
    needed |= {state.started(key).allocation for key in state.wanted}
    closed = [key for key, e in state.entries.items() if e.phase in ("kept", "undone") and key not in needed]
    gone = set(closed[:surplus])
    return structs.replace(state, entries={key: entry for key, entry in state.entries.items() if key not in gone})


def _same(done: Operation | None, asked: Operation) -> bool:
    if isinstance(done, Switch) and isinstance(asked, Switch) and isinstance(done.to, str):
        return (done.front, [done.to]) == (asked.front, list(weights(asked.to)))
    return done == asked


def _with(state: HostState, key: str, entry: Entry) -> HostState:
    return structs.replace(state, entries={**state.entries, key: entry})


def _front(state: HostState, name: str, front: FrontRecord) -> HostState:
    return structs.replace(state, fronts={**state.fronts, name: front})


def _wanting(state: HostState, key: str) -> HostState:
    return structs.replace(state, wanted=(*(name for name in state.wanted if name != key), key))


def _unwanting(state: HostState, key: str) -> HostState:
    return structs.replace(state, wanted=tuple(name for name in state.wanted if name != key))
