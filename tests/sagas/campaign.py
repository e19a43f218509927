"""Many rollouts on one log and one runner, each with a failure injected; and what must be true after each."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

import msgspec

from domain import deployment, saga
from domain.contexts import DECIDERS
from eventstore.envelope import StreamId, now
from eventstore.tasks import end_tasks
from handlers.command import Caller, CommandRequest
from sagacity.wiring import open_core, saga_runner
from sagas.rollout import RetryPolicy
from tests.sagas.exactness import Picture, done_twice, misplaced, right_outcomes, unsettled, wrong_verdicts
from tests.sagas.faults import STRATEGIES, Fault, Injection, UnrulyTarget

ATTEMPTS = 3
PATIENCE = 60.0
PLACES = ("local", "other")
CIRCUIT = {"failures": 2, "recovery": 0.2}
DECIDER = {decider.category: decider for decider in DECIDERS}
ME = Caller(actor="ann")


TOO_LATE = ("deployment_ended", "saga_not_paused", "saga_ended", "cancellation_requested", "rollback_started")


class Result(NamedTuple):
    """`outcome` of the deployment; `wrong`: what is not as it should be then, empty when all is."""

    fault: Fault
    hits: int
    outcome: str
    wrong: str


class News:
    """What is written of each deployment and its saga, as it comes."""

    def __init__(self) -> None:
        self.of: defaultdict[str, asyncio.Queue[object]] = defaultdict(asyncio.Queue)

    async def follow(self, core) -> None:
        async with core.store.follow(categories=["deployment", "saga"]) as feed:
            async for batch in feed.batches():
                for event in batch:
                    self.of[event.stream.id.removeprefix("deployment-")].put_nowait(core.store.decode(event))


class Campaign:
    """One environment in which a rollout follows the other, each from where the last one has ended."""

    def __init__(self, core, news: News, name: str) -> None:
        self.core, self.news, self.name = core, news, name
        self.targets = {place: UnrulyTarget() for place in PLACES}
        self._count = 0

    async def prepare(self, instances: int) -> None:
        about = {"name": self.name, "organization_id": f"{self.name}-owner"}
        targets = [{"name": each, "settings": {"of": self.name}, "circuit": CIRCUIT} for each in PLACES]
        await self._command("organization.register", f"{self.name}-owner", {"name": self.name})
        await self._command("environment.register", f"{self.name}-env", {**about, "targets": targets})
        await self._command("stack.register", f"{self.name}-stack", about)
        release = {"version": "1", "release": {"program": "good"}}
        await self._command("stack.publish_version", f"{self.name}-stack", release)
        first = await self.meet(Fault("none", "switch_over", "none", instances=instances))
        assert (first.outcome, first.wrong) == ("completed", ""), first

    async def meet(self, fault: Fault) -> Result:
        """Roll out with this fault on the way, play the person who is asked, and look at what has come of it."""
        self._count += 1
        id = f"{self.name}-{self._count}"
        await self._circuits_closed()
        before = await self._picture()
        targets = self._targets(fault, before)
        injection = Injection(fault, self._number(fault, before), id, lambda: self._command("deployment.cancel", id))
        for place, target in self.targets.items():
            target.injection = injection if fault.everywhere or place == targets[0] else None
            target.acts.clear()
        try:
            await self._request(id, fault, targets)
            outcome = await asyncio.wait_for(self._attend(id, injection), PATIENCE)
            wrong = await self._wrong(id, fault, injection, outcome, before)
        except TimeoutError:
            outcome, wrong = "none", f"not ended within {PATIENCE:g} s: {await self._saga(id)}"
        except AssertionError as error:
            outcome, wrong = "none", str(error)
        hits = int(await injection.cancelled()) if fault.kind == "cancelled" else injection.hits
        return Result(fault, hits, outcome, wrong)

    async def _request(self, id: str, fault: Fault, targets: Sequence[str]) -> None:
        policy = {"healthy_checks": 1, "unhealthy_checks": 1, "health_interval": 0.02}
        if fault.kind == "no answer":
            policy["step_timeouts"] = {fault.operation: 1.0, "baseline": 1.0}
        data = {
            "stack_id": f"{self.name}-stack",
            "environment_id": f"{self.name}-env",
            "version": "1",
            "targets": targets,
            "strategy": STRATEGIES[fault.strategy],
            "instances": fault.instances,
            "policy": policy,
        }
        await self._command("deployment.request", id, data)

    async def _attend(self, id: str, injection: Injection) -> str:
        """Until the saga has ended, as a person would who is called when it pauses. The outcome of the deployment."""
        if injection.fault.operation == "any moment":
            asyncio.get_running_loop().call_later(injection.fault.delay, injection.cancel)
        while True:
            match await self.news.of[id].get():
                case saga.Paused():
                    injection.lifted = True
                    await self._have_a_look(id, injection.fault)
                case saga.StepStarted("gate"):
                    await self._command("deployment.promote", id)
                case saga.Delivered():
                    injection.lifted = True
                case saga.Completed() | saga.Compensated():
                    injection.lifted = True
                    ended = await self._folded("deployment", id)
                    return ended.outcome if isinstance(ended, deployment.Ended) else "none"
                case _:
                    pass

    async def _have_a_look(self, id: str, fault: Fault) -> None:
        state = await self._saga(id)
        cancels = fault.person == "cancel" and isinstance(state, saga.Running) and state.compensating is None
        if not cancels or not await self._command("deployment.cancel", id):
            await self._command("saga.resume", f"deployment-{id}")

    def _targets(self, fault: Fault, before: Picture) -> Sequence[str]:
        live = before.placement.live.target if before.placement.live else PLACES[0]
        order = sorted(PLACES, key=lambda place: (place == live) == fault.elsewhere)
        return order if fault.fallback else order[:1]

    def _number(self, fault: Fault, before: Picture) -> int:
        """Which effect of the operation meets the fault, by the place that it has among all of them."""
        times = _times(fault, before.placement.live.instances if before.placement.live and not fault.elsewhere else 0)
        return 1 + min(times - 1, int(fault.place * times))

    async def _wrong(self, id: str, fault: Fault, injection: Injection, outcome: str, before: Picture) -> str:
        expected = right_outcomes(fault, injection.hits, await injection.cancelled())
        events = await self.core.store.load(StreamId("deployment", id), latest=True)
        found = [
            *([] if outcome in expected else [f"{outcome} instead of {expected}"]),
            *misplaced(id, fault, outcome, before, await self._picture()),
            *await unsettled(await self._saga(id), self.targets),
            *done_twice(self.targets),
            *wrong_verdicts([self.core.store.decode(event) for event in events]),
        ]
        return "; ".join(found)

    async def _picture(self) -> Picture:
        runs, weights = {}, {}
        for place, target in self.targets.items():
            runs[place] = tuple(sorted(running.start_key for running in await target.inventory()))
            front = await target.front(f"{self.name}-env--{self.name}-stack")
            weights[place] = front.weights if front else {}
        return Picture(runs, weights, (await self._environment()).placement(f"{self.name}-stack"))

    async def _environment(self):
        return await self._folded("environment", f"{self.name}-env")

    async def _saga(self, id: str):
        return await self._folded("saga", f"deployment-{id}")

    async def _folded(self, category: str, id: str):
        events = await self.core.store.load(StreamId(category, id), latest=True)
        return DECIDER[category].fold([self.core.store.decode(event) for event in events])

    async def _circuits_closed(self) -> None:
        """The fault of one rollout is no fault of the next."""
        for circuit in (await self._environment()).circuits.values():
            if circuit.is_open(now()):
                await asyncio.sleep((circuit.open_until - now()).total_seconds() + 0.01)

    async def _command(self, type: str, stream: str, data: dict | None = None) -> bool:
        """Whether it was accepted; a refusal is a failure, but for people who come too late."""
        request = CommandRequest(type=type, stream_id=stream, data=msgspec.json.encode(data or {}))
        outcome = await self.core.handler.handle(request, ME, timeout=PATIENCE)
        late = outcome.refusal in TOO_LATE
        assert outcome.outcome == "accepted" or late, outcome
        return outcome.outcome == "accepted"


def _times(fault: Fault, old: int) -> int:
    """How many effects the operation has in this rollout, which replaces so many old instances (at least one)."""
    baseline = fault.instances if fault.strategy == "canary" and old > 0 else 0
    match fault.operation:
        case "allocate" | "start" | "health" | "free" | "stop":
            times = fault.instances + baseline
        case "switch" | "switch_back":
            batch = {"rolling": 1, "rolling by 2": 2}.get(fault.strategy, fault.instances)
            times = -(-fault.instances // batch) + (2 if fault.strategy.startswith("canary") and old else 0)
        case "retire":
            times = old + baseline
        case "measure":
            times = 2
        case _:
            times = 1
    return max(1, times)


@asynccontextmanager
async def campaigns(url: str):
    """Makes environments, by name, that share one log and one runner."""
    async with open_core(url) as core:
        news = News()
        found: dict[str, Campaign] = {}

        def campaign(name: str) -> Campaign:
            return found.setdefault(name, Campaign(core, news, name))

        retries = RetryPolicy(attempts=ATTEMPTS, first=0.02, longest=0.05)
        runner = saga_runner(core, lambda target: found[target.settings["of"]].targets[target.name], retries)
        working = [asyncio.create_task(runner.run()), asyncio.create_task(news.follow(core))]
        try:
            yield campaign
            assert not any(task.done() for task in working), "the runner has ended"
        finally:
            await end_tasks(*working)
