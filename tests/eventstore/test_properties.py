"""Whatever several processes do to a few streams at once, the log keeps its promises."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventstore.errors import WrongVersion
from eventstore.store import EventStore, StreamWrite
from eventstore.verification import verify
from tests.eventstore.log import CONTEXT, Counted, everything, fresh_log, stream
from tests.eventstore.servers import Servers


class Step(NamedTuple):
    """Append so many events to each of these streams, at the version known, which may be off by `error`."""

    sizes: dict[int, int]
    error: int
    look_first: bool
    wait_for_it: bool


steps = st.builds(
    Step,
    sizes=st.dictionaries(st.integers(0, 2), st.integers(1, 4), min_size=1, max_size=3),
    error=st.sampled_from([0, 0, 0, 0, 0, -1, 1]),
    look_first=st.booleans(),
    wait_for_it=st.booleans(),
)
plans = st.lists(st.lists(steps, min_size=1, max_size=12), min_size=2, max_size=4)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plans)
def test_no_version_twice_no_gap_every_acknowledged_append_once(nats_servers: Servers, plan: list[list[Step]]) -> None:
    """Random appends to three streams by two to four processes, many of them at once and some at wrong versions."""
    asyncio.run(_carry_out(nats_servers, plan))


async def _carry_out(servers: Servers, plan: list[list[Step]]) -> None:
    async with fresh_log(servers) as log:
        acknowledged: list[tuple[str, int]] = []
        await asyncio.gather(*[_write(await log.store(), part, acknowledged) for part in plan])

        store = await log.store()
        events = await everything(store)
        assert [event.position for event in events] == list(range(1, len(events) + 1))
        assert sorted(acknowledged) == sorted((event.envelope.id, event.position) for event in events)
        for number in range(3):
            history = await store.load(stream(f"{number}"), latest=True)
            assert [event.version for event in history] == list(range(1, len(history) + 1))
        assert (await verify(store)).faults == ()


async def _write(store: EventStore, part: list[Step], acknowledged: list[tuple[str, int]]) -> None:
    versions = dict.fromkeys(range(3), 0)

    async def append(step: Step) -> None:
        writes = [
            StreamWrite(stream(f"{number}"), max(0, versions[number] + step.error), [Counted(number)] * size)
            for number, size in step.sizes.items()
        ]
        try:
            appended = await store.append_all(writes, CONTEXT)
        except WrongVersion:
            return
        acknowledged.extend((event.envelope.id, event.position) for event in appended.events)
        for event in appended.events:
            versions[int(event.stream.id)] = max(event.version, versions[int(event.stream.id)])

    under_way: list[asyncio.Task[None]] = []
    for step in part:
        if step.look_first:
            for number in step.sizes:
                versions[number] = len(await store.load(stream(f"{number}")))
        under_way.append(asyncio.create_task(append(step)))
        if step.wait_for_it:
            await under_way[-1]
    await asyncio.gather(*under_way)
