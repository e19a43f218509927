"""What must be true of a rollout that has ended, whatever was hit."""

from collections import Counter

from domain import canary, environment, saga
from domain.analysis import recompute
from domain.strategy import Canary, declared
from eventstore.envelope import StreamId
from eventstore.verification import verify
from sagacity.wiring import Core
from sagas.course import start_keys
from tests.crash.platform import Platform, exists, folded
from tests.crash.stories import Story
from tests.crash.visitors import answers_of

PROBES = 20


async def assert_right_end(core: Core, platform: Platform, case: str, story: Story, host_restarts: int = 0) -> None:
    """Completed or exactly the previous state; nothing left over, nothing twice, nothing open."""
    old, new = f"{case}-d1", f"{case}-d2"
    ended = await folded(core, "saga", f"deployment-{new}")
    assert isinstance(ended, saga.Ended)
    assert not {effect.status for effect in ended.effects} & saga.OPEN
    assert (await folded(core, "deployment", new)).outcome == story.outcome
    live = await _live(core, case)
    assert live.deployment_id == (new if story.outcome == "completed" else old)
    await _assert_only_runs(platform, case, live, host_restarts)
    await _assert_verdicts(core, new)


async def assert_right_traffic(core: Core, platform: Platform, case: str) -> None:
    """The front is split as the outcome says, and that is who answers real requests."""
    live = await _live(core, case)
    front = await platform.target.front(f"e{case}--s{case}")
    assert front.weights == dict.fromkeys(start_keys(live), 1)
    answers = await answers_of(front.port, PROBES)
    assert answers == {(200, f"{case}-{live.version}"): PROBES}


async def assert_log_intact(core: Core) -> None:
    report = await verify(core.store)
    assert not report.faults


async def _live(core: Core, case: str) -> environment.LiveRelease:
    placement = (await folded(core, "environment", f"e{case}")).placement(f"s{case}")
    assert placement.rollout is None
    return placement.live


async def _assert_only_runs(platform: Platform, case: str, live: environment.LiveRelease, host_restarts: int) -> None:
    running = [each for each in await platform.target.inventory() if each.start_key.startswith(f"{case}-")]
    assert sorted(each.start_key for each in running) == sorted(start_keys(live))
    assert {each.restarts for each in running} == {0}
    lines = [line.split() for line in platform.starts.read_text().splitlines()]
    mine = [(name, port, int(pid)) for name, port, pid in lines if name.startswith(f"{case}-")]
    starts = Counter((name, port) for name, port, _ in mine)
    assert max(starts.values()) <= 1 + host_restarts, f"started twice: {mine}"
    assert sorted(pid for *_, pid in mine if exists(pid)) == sorted(each.pid for each in running)


async def _assert_verdicts(core: Core, id: str) -> None:
    """Numbered without gaps, and each follows from nothing but the counts that it carries."""
    stored = await core.store.load(StreamId("deployment", id), latest=True)
    requested, *events = [core.store.decode(event) for event in stored]
    verdicts = [event for event in events if isinstance(event, canary.Judged)]
    assert [verdict.number for verdict in verdicts] == list(range(1, len(verdicts) + 1))
    strategy = declared(requested.strategy)
    if isinstance(strategy, Canary):
        assert verdicts
        for verdict in verdicts:
            assert recompute(verdict.judgement.tests, strategy.analysis) == verdict.judgement
