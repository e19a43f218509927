"""A target in memory, for property tests of sagas: the rules of the real one, and releases that only exist on paper.

`before` and `after` see every effect and may raise TargetUnavailable there: then its outcome is unknown to the
caller, and the effect is absent (`before`) or kept (`after`).
"""

from collections.abc import Callable, Mapping

from domain.measurement import Reading
from sagas.targets.port import (
    Allocation,
    Effect,
    Front,
    Health,
    LogLine,
    Release,
    ReleaseFailed,
    Running,
    TargetRefused,
    check_front,
    check_key,
    check_split,
)
from sagas.targets.process import ledger
from sagas.targets.process.ledger import Allocate, HostState, Operation, Retire, Start, Switch

Seen = Callable[[str, str], None]


class MemoryTarget:
    """Programs say what becomes of them: `good`, `sick` (bad health), `dying` (exits at start); no other is known.

    `acts` lists every side effect that really took place, as (what, key). `reading` is what every front measures.
    """

    def __init__(self, before: Seen = lambda *_: None, after: Seen = lambda *_: None) -> None:
        self.acts: list[tuple[str, str]] = []
        self.reading = Reading("memory")
        self._before = before
        self._after = after
        self._state = HostState()

    async def validate(self, release: Release) -> None:
        if release.program not in ("good", "sick", "dying"):
            raise TargetRefused([f"there is no program {release.program!r}"])

    async def allocate(self, key: str) -> Allocation:
        port = (await self._do(key, "allocate", Allocate())).port
        assert port is not None
        return Allocation(port)

    async def start(self, key: str, allocation_key: str, release: Release) -> str:
        await self.validate(release)
        return (await self._do(key, "start", Start(allocation_key, release))).url or ""

    async def switch(
        self,
        key: str,
        front: str,
        weights: Mapping[str, int],
        sticky_header: str | None = None,
        incident_header: str | None = None,
    ) -> str:
        check_front(front)
        check_split(weights, sticky_header, incident_header)
        return (await self._do(key, "switch", Switch(front, dict(weights), sticky_header, incident_header))).url or ""

    async def retire(self, key: str, start_key: str) -> None:
        await self._do(key, "retire", Retire(start_key))

    async def free(self, key: str) -> None:
        await self._undo(key, "free")

    async def stop(self, key: str) -> None:
        await self._undo(key, "stop")

    async def switch_back(self, key: str) -> None:
        await self._undo(key, "switch_back")

    async def unretire(self, key: str) -> None:
        await self._undo(key, "unretire")

    async def effect(self, key: str) -> Effect:
        entry = self._state.entries.get(key)
        return entry.answer if entry else Effect("absent")

    async def health(self, start_key: str) -> Health:
        program = self._state.started(start_key).release.program
        runs = start_key in self._state.wanted
        return Health(runs and program == "good", runs, program if runs else "it is not running")

    async def front(self, front: str) -> Front | None:
        record = self._state.fronts.get(front)
        return Front(record.port, f"http://memory:{record.port}", record.weights) if record else None

    async def measure(self, front: str) -> Reading:
        return self.reading if front in self._state.fronts else Reading("")

    async def inventory(self) -> tuple[Running, ...]:
        return tuple(
            Running(key, self._state.port(self._state.started(key).allocation), 1, 0, None, 0, 0, 0)
            for key in self._state.wanted
        )

    async def logs(self, start_key: str, after: int = 0, limit: int = 1000) -> tuple[LogLine, ...]:
        return ()

    async def _do(self, key: str, name: str, operation: Operation) -> Effect:
        check_key(key)
        self._before(name, key)
        first = ledger.first_answer(self._state.entries.get(key), operation)
        if first is None:
            self._state = _done(self._state, key, operation)
            self.acts.append((name, key))
        self._after(name, key)
        return self._state.entries[key].answer

    async def _undo(self, key: str, name: ledger.Undo) -> None:
        check_key(key)
        self._before(name, key)
        entry = self._state.entries.get(key)
        if entry is not None and entry.operation and not isinstance(entry.operation, ledger.UNDOES[name]):
            raise TargetRefused([f"{name} does not undo what {key} did"])
        if entry is not None and entry.operation:
            self.acts.append((name, key))
        self._state = _undone(self._state, key, entry.operation if entry else None)
        self._after(name, key)


def _done(state: HostState, key: str, operation: Operation) -> HostState:
    match operation:
        case Allocate():
            return ledger.allocated(state, key, max(state.ports(), default=20_000) + 1)
        case Start(allocation, release):
            state = ledger.starting(state, key, operation)
            if release.program == "dying":
                raise ReleaseFailed("it exited with code 1")
            return ledger.started(state, key, f"http://memory:{state.port(allocation)}")
        case Switch(front):
            known = state.fronts.get(front)
            port = known.port if known else max(state.ports()) + 1
            return ledger.switched(state, key, operation, port, f"http://memory:{port}")
        case Retire():
            return ledger.retired(ledger.retiring(state, key, operation), key)


def _undone(state: HostState, key: str, operation: Operation | None) -> HostState:
    match operation:
        case None:
            return ledger.buried(state, key)
        case Allocate():
            return ledger.freed(state, key)
        case Start():
            return ledger.buried(ledger.stopping(state, key), key)
        case Switch():
            return ledger.switched_back(state, key, operation)
        case Retire() if state.entries[key].answer.previous is None:
            return ledger.buried(state, key)
        case Retire():
            return ledger.unretired(ledger.unretiring(state, key, operation), key, operation)
