"""Failures by the thousand: what can go wrong with a rollout, where, and a target in memory on which it does."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from domain.measurement import Counts, Reading
from sagas.targets.port import Health, TargetRefused, TargetUnavailable, TargetUnreachable
from tests.targets.memory_target import MemoryTarget

STEPS = ("validate", "allocate", "start", "health", "switch", "retire")
UNDOS = ("free", "stop", "switch_back", "unretire")
STRATEGIES = {
    "switch_over": "switch_over",
    "blue_green": {"kind": "blue_green", "keep": 0.4},
    "rolling": {"kind": "rolling", "batch": 1},
    "rolling by 2": {"kind": "rolling", "batch": 2},
    "canary": {"kind": "canary", "steps": [{"weight": 10}, {"weight": 50}]},
    "canary beside all": {"kind": "canary", "steps": [{"weight": 10}, {"weight": 50}], "baseline": "stable"},
}
for declared in STRATEGIES.values():
    if isinstance(declared, dict) and declared["kind"] == "canary":
        declared["analysis"] = {"interval": 0.1, "latency_quantiles": []}

EACH_LOOK = 500
"""Requests that either arm gets from one look to the next: a canary without fault is promoted after three or four."""


class Fault(NamedTuple):
    """`kind` happens `when` an operation is asked for; `place` says at which of its effects, as a part of all (0-1).

    `error` is what the target raises, `times` how often (0: until a person has a look, who then resumes or cancels).
    Where the operation is an undo, the rollout is cancelled when the first old release is retired.
    `elsewhere`: the rollout goes to another target than the live release's; `fallback`: there is a second target;
    `everywhere`: that one is struck, too. `delay` is of a cancellation, in seconds.
    """

    kind: str
    strategy: str
    operation: str
    when: str = "before"
    place: float = 0.0
    error: type[Exception] = TargetUnavailable
    times: int = 0
    person: str = "resume"
    instances: int = 1
    elsewhere: bool = False
    fallback: bool = False
    everywhere: bool = False
    delay: float = 0.0


class Injection:
    """A fault on its way: the `number`-th effect of its operation meets it. `hits` counts how often it was met."""

    def __init__(self, fault: Fault, number: int, deployment_id: str, cancel: Callable[[], Awaitable[bool]]) -> None:
        self.fault = fault
        self.deployment_id = deployment_id
        self.hits = 0
        self.lifted = False
        self._cancelling: asyncio.Task[bool] | None = None
        self._number = number
        self._cancel = cancel
        self._keys: defaultdict[str, list[str]] = defaultdict(list)
        self._asked: Counter[str] = Counter()

    async def meet(self, when: str, operation: str, key: str) -> None:
        """Raises what the target would, or waits for ever, or lets it pass."""
        if when == "before":
            self._keys[operation] += [key] if key not in self._keys[operation] else []
            self._asked[key] += 1
        if self.lifted:
            return
        if self._is_unreachable():
            self.hits += 1
            raise TargetUnreachable("nobody listens")
        if self.fault.operation in UNDOS and (operation, when) == ("retire", "after"):
            self.cancel()
            await self.cancelled()
        number = self._keys[operation].index(key) + 1
        again = operation == "measure" and number > self._number  # a look that failed is followed by another one
        if (operation, when) == (self.fault.operation, self.fault.when) and (number == self._number or again):
            await self._strike()

    def is_canary(self, start_key: str) -> bool:
        return start_key.startswith(f"{self.deployment_id}-start") and not start_key.endswith("-b")

    def cancel(self) -> None:
        if self._cancelling is None and not self.lifted:
            self._cancelling = asyncio.create_task(self._cancel())

    async def cancelled(self) -> bool:
        """Whether it came in time. The saga may give up the operation that waits here; the command goes on."""
        return self._cancelling is not None and await asyncio.shield(self._cancelling)

    def looks(self) -> int:
        return len(self._keys["measure"])

    def sick(self, start_key: str) -> bool:
        """Healthy at first where the strategy goes on to watch it."""
        number = self._keys["health"].index(start_key) + 1
        ill = self.fault.kind == "sick" and number == self._number and self._asked[start_key] > self.fault.times
        self.hits += ill
        return ill

    def wrong(self, start_key: str) -> bool:
        wrong = self.fault.kind == "wrong answers" and self.is_canary(start_key) and self.looks() >= self._number
        self.hits += wrong
        return wrong

    def _is_unreachable(self) -> bool:
        """Once the connection is lost for long, nothing gets through any more."""
        return self.hits > 0 and self.fault.times == 0 and self.fault.error is TargetUnreachable

    async def _strike(self) -> None:
        match self.fault.kind:
            case "sick" | "wrong answers":
                pass
            case "cancelled":
                self.cancel()
                await asyncio.sleep(self.fault.delay)
            case "no answer":
                self.hits += 1
                await asyncio.Event().wait()
            case _:
                self._raise()

    def _raise(self) -> None:
        if self.fault.times and self.hits >= self.fault.times:
            return
        self.hits += 1
        raise TargetRefused(["never"]) if self.fault.error is TargetRefused else self.fault.error("out of order")


class UnrulyTarget(MemoryTarget):
    """Meets the fault of the rollout under way. Its fronts count `EACH_LOOK` requests to every release a look."""

    def __init__(self) -> None:
        super().__init__()
        self.injection: Injection | None = None
        self._counted: defaultdict[str, Counter[str]] = defaultdict(Counter)

    async def validate(self, release):
        await self._meet("before", "validate", "validate")
        await super().validate(release)
        await self._meet("after", "validate", "validate")

    async def health(self, start_key):
        await self._meet("before", "health", start_key)
        health = await super().health(start_key)
        await self._meet("after", "health", start_key)
        if self.injection is not None and self.injection.sick(start_key):
            return Health(False, True, "it is ill")
        return health

    async def measure(self, front):
        look = f"look-{self.injection.looks() if self.injection else 0}"
        await self._meet("before", "measure", look)
        found = await self.front(front)
        for key in found.weights if found else ():
            wrong = self.injection is not None and self.injection.wrong(key)
            share = self.injection.fault.instances if self.injection and self.injection.is_canary(key) else 1
            self._counted[key] += Counter(all=EACH_LOOK // share, bad=EACH_LOOK // share // 10 if wrong else 0)
        await self._meet("after", "measure", look)
        counted = {key: self._counted[key] for key in (found.weights if found else ())}
        return Reading("memory", {key: Counts(c["all"], c["bad"], c["bad"]) for key, c in counted.items()})

    async def _do(self, key, name, operation):
        await self._meet("before", name, key)
        answer = await super()._do(key, name, operation)
        await self._meet("after", name, key)
        return answer

    async def _undo(self, key, name):
        await self._meet("before", name, key)
        await super()._undo(key, name)
        await self._meet("after", name, key)

    async def _meet(self, when: str, operation: str, key: str) -> None:
        if self.injection is not None:
            await self.injection.meet(when, operation, key)
