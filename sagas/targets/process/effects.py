"""Does and undoes effects: asks the rules (ledger), writes them down (state), acts (releases and fronts)."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final
from weakref import WeakValueDictionary

from msgspec import structs

from domain.measurement import Counts, Reading
from sagas.targets.port import (
    Effect,
    Front,
    Health,
    ReleaseFailed,
    Running,
    TargetRefused,
    check_front,
    check_key,
    check_split,
)
from sagas.targets.process import ledger, ports
from sagas.targets.process.fronts import Fronts
from sagas.targets.process.layout import Layout, Limits
from sagas.targets.process.ledger import UNDOES, Allocate, HostState, Operation, Retire, Start, Switch, Undo
from sagas.targets.process.releases import Releases
from sagas.targets.process.retention import drop_oldest
from sagas.targets.process.state import StateFile
from sagas.targets.process.validation import validate

_BACK_WITHIN: Final = 5.0
"""Seconds that releases get to listen again before the fronts open, when the host starts."""


class Effects:
    def __init__(self, file: StateFile, releases: Releases, fronts: Fronts, layout: Layout, limits: Limits) -> None:
        self._file = file
        self._layout = layout
        self._limits = limits
        self._releases = releases
        self._fronts = fronts
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._new_front = asyncio.Lock()

    @property
    def state(self) -> HostState:
        return self._file.state

    async def bring_back(self) -> None:
        """What ran before runs again. Call once, first. Raises TargetUnavailable."""
        await self._file.change(ledger.settle)
        for key in self.state.wanted:
            start = self.state.started(key)
            self._releases.resume(key, self.state.port(start.allocation), start.release)
        await self._releases.listening(_BACK_WITHIN)
        for name, record in self.state.fronts.items():
            try:
                await self._fronts.open(name, record.port)
            except OSError:
                port = await self._open(name)
                await self._file.change(partial(ledger.moved, front=name, port=port))
            await self._fronts.follow()

    async def do(self, key: str, operation: Operation) -> Effect:
        """Raises the errors of the target port."""
        check_key(key)
        async with self._alone(key):
            first = ledger.first_answer(self.state.entries.get(key), operation)
            if first is not None:
                # The first time may have ended between the disk and the splitter.
                await self._fronts.follow()
                return first
            match operation:
                case Allocate():
                    await self._allocate(key)
                case Start():
                    await self._start(key, operation)
                case Switch():
                    await self._switch(key, operation)
                case Retire():
                    await self._retire(key, operation)
            return self.state.entries[key].answer

    async def undo(self, key: str, undo: Undo) -> None:
        """Raises the errors of the target port."""
        check_key(key)
        async with self._alone(key):
            entry = self.state.entries.get(key)
            if entry is None:
                await self._file.change(partial(ledger.buried, key=key))
                return
            if entry.operation is not None and not isinstance(entry.operation, UNDOES[undo]):
                raise TargetRefused([f"{undo} does not undo what {key} did"])
            match entry.operation:
                case None:
                    pass
                case Allocate():
                    await self._file.change(partial(ledger.freed, key=key))
                case Start():
                    await self._stop(key)
                case Switch() as switch:
                    await self._file.change(partial(ledger.switched_back, key=key, switch=switch))
                case Retire() as retire:
                    await self._unretire(key, retire)
            await self._fronts.follow()

    async def effect(self, key: str) -> Effect:
        check_key(key)
        async with self._alone(key):
            entry = self.state.entries.get(key)
            # An intent that is still open was interrupted by an error that its caller was told: nothing is there.
            return entry.answer if entry is not None and entry.phase != "doing" else Effect("absent")

    async def health(self, start_key: str) -> Health:
        return await self._releases.health(start_key, self.state.started(start_key).release.health_path)

    def front(self, name: str) -> Front | None:
        record = self.state.fronts.get(name)
        return Front(record.port, self._fronts.url(record.port), record.weights) if record else None

    async def reading(self, front: str) -> Reading:
        """Raises TargetUnavailable."""
        reading = await self._fronts.reading(front)
        arms = {key: _with_crashes(counts, self._releases.restarts(key)) for key, counts in reading.arms.items()}
        return Reading(reading.epoch, arms)

    async def inventory(self) -> tuple[Running, ...]:
        return self._releases.inventory(await self._fronts.traffic(self._releases.keys()))

    def _alone(self, key: str) -> asyncio.Lock:
        return self._locks.setdefault(key, asyncio.Lock())

    async def _allocate(self, key: str) -> None:
        # Chosen inside the change, so that no two changes can choose the same.
        await self._file.change(lambda state: ledger.allocated(state, key, ports.choose(state.ports())))

    async def _start(self, key: str, start: Start) -> None:
        validate(start.release)
        port = (await self._file.change(partial(ledger.starting, key=key, start=start))).port(start.allocation)
        try:
            await self._releases.start(key, port, start.release)
        except ReleaseFailed:
            await self._file.change(partial(ledger.forgotten, key=key))
            raise
        try:
            await self._file.change(partial(ledger.started, key=key, url=f"http://127.0.0.1:{port}"))
        except BaseException:
            await self._releases.stop(key)
            raise

    async def _stop(self, key: str) -> None:
        await self._file.change(partial(ledger.stopping, key=key))
        await self._fronts.follow()
        await self._releases.stop(key)
        await self._file.change(partial(ledger.buried, key=key))

    async def _switch(self, key: str, switch: Switch) -> None:
        check_front(switch.front)
        check_split(ledger.weights(switch.to), switch.sticky_header, switch.incident_header)
        async with self._new_front:
            known = self.state.fronts.get(switch.front)
            port = known.port if known else await self._open(switch.front)
            change = partial(ledger.switched, key=key, switch=switch, port=port, url=self._fronts.url(port))
            try:
                await self._file.change(change)
            except BaseException:
                if known is None:
                    await self._fronts.close(switch.front)
                raise
        await self._fronts.follow()

    async def _retire(self, key: str, retire: Retire) -> None:
        await self._file.change(partial(ledger.retiring, key=key, retire=retire))
        await self._fronts.follow()
        await self._fronts.drain(retire.release, self._limits.drain)
        await self._releases.stop(retire.release)
        state = await self._file.change(partial(ledger.retired, key=key))
        await asyncio.to_thread(drop_oldest, self._layout, {*state.wanted, *self._releases.keys()})

    async def _unretire(self, key: str, retire: Retire) -> None:
        if self.state.entries[key].answer.previous is None:
            await self._file.change(partial(ledger.buried, key=key))
            return
        start = (await self._file.change(partial(ledger.unretiring, key=key, retire=retire))).started(retire.release)
        try:
            port = self.state.port(start.allocation)
            await self._releases.start_listening(retire.release, port, start.release)
            await self._file.change(partial(ledger.unretired, key=key, retire=retire))
        except BaseException:
            await self._releases.stop(retire.release)
            await self._file.change(partial(ledger.retired, key=key))
            raise

    async def _open(self, front: str) -> int:
        """Raises TargetUnavailable."""
        port = ports.choose(self.state.ports(), self._fronts.host)
        await self._fronts.open(front, port)
        return port


def _with_crashes(counts: Counts, crashes: int) -> Counts:
    """While a release is being restarted its requests go elsewhere, and nobody sees an error: a crash is one."""
    incidents = max(counts.incidents, crashes)
    errors, requests = max(counts.errors, crashes), max(counts.requests, crashes)
    return structs.replace(counts, requests=requests, errors=errors, incidents=incidents)
