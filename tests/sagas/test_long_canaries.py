"""A canary that goes on for long, or hears much, neither holds up other sagas nor misses a look."""

import asyncio

from domain import canary
from domain.measurement import Counts, Reading
from eventstore.envelope import StreamId
from tests.sagas.story import told

FOR_LONG = {"kind": "canary", "steps": [{"weight": 10, "requests": 1_000_000}]}


async def events(story, kind):
    stored = await story.core.store.load(StreamId("deployment", story.new), latest=True)
    return [data for data in map(story.core.store.decode, stored) if isinstance(data, kind)]


async def test_more_verdicts_than_may_be_unacknowledged_hold_up_nobody(log_url):
    """The server hands out no more than so many messages to all sagas together."""
    strategy = {**FOR_LONG, "analysis": {"interval": 0.1, "latency_quantiles": []}}
    async with told(log_url, "many-verdicts", in_flight=5) as story:
        await story.request(story.new, "2", strategy=strategy)
        await story.until(lambda: events(story, canary.Judged), lambda verdicts: len(verdicts) > 20, timeout=40)
        await story.command("deployment.cancel", story.new, {"reason": "seen enough"})
        assert await story.outcome(story.new) == "deployment.rolled_back"
        await story.nothing_has_changed()


async def test_measurements_that_come_faster_than_looks_do_not_keep_it_from_looking(log_url):
    analysis = {"interval": 0.6, "latency_quantiles": [], "measurements": [{"name": "orders"}]}
    async with told(log_url, "many-reports") as story:

        async def broken(front):
            counts = Counts(2_000, 1_000, 1_000), Counts(2_000, 0, 0)
            return Reading("counted", dict(zip((f"{story.new}-start", f"{story.new}-start-b"), counts, strict=True)))

        story.target.measure = broken
        await story.request(story.new, "2", strategy={**FOR_LONG, "analysis": analysis})
        await story.until(lambda: events(story, canary.TrafficShifted), bool)
        report = {"metric": "orders", "canary": {"total": 5, "bad": 0}, "baseline": {"total": 5, "bad": 0}}
        for _ in range(100):
            if (await story.command("deployment.record_measurement", story.new, report)).outcome == "refused":
                break
            await asyncio.sleep(0.1)
        assert await story.outcome(story.new) == "deployment.rolled_back"
        assert len(await events(story, canary.MetricMeasured)) < 100
