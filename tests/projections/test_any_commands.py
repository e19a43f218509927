"""Whatever is commanded, by however many at once: the log is right, and so is what is projected from it."""

import asyncio
from contextlib import AsyncExitStack

import asyncpg
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.contexts import DECIDERS
from eventstore.envelope import StreamId
from eventstore.verification import verify
from handlers.command import Caller, CommandRequest
from sagacity.wiring import open_core
from tests.eventstore.servers import Servers
from tests.projections.platform import equals_the_fold, projecting

WRITERS = 3
ANN = Caller(actor="ann")

orgs, stacks, environments, deployments = (st.sampled_from(names) for names in ("ab", "st", "ef", "xyz"))
models, features, entities = (st.sampled_from(names) for names in ("mn", "fgh", "uv"))
experiments = st.sampled_from(["m-1", "m-2", "n-1"])
of_an_org = st.fixed_dictionaries({"name": st.just("n"), "organization_id": orgs})
texts = st.sampled_from(["", "a", "b"])
versions = st.sampled_from(["1", "2"])


def data(**fields):
    return st.fixed_dictionaries(fields)


commands = st.one_of(
    st.tuples(st.just("organization.register"), orgs, data(name=st.just("n"), description=texts)),
    st.tuples(st.just("organization.describe"), orgs, data(description=texts)),
    st.tuples(st.just("stack.register"), stacks, of_an_org),
    st.tuples(st.just("stack.configure"), stacks, data(configuration=data(A=texts))),
    st.tuples(
        st.just("stack.publish_version"),
        stacks,
        data(version=versions, release=data(program=st.sampled_from(["sh", "ls"]))),
    ),
    st.tuples(st.just("stack.withdraw_version"), stacks, data(version=versions, reason=st.just("r"))),
    st.tuples(st.just("environment.register"), environments, of_an_org),
    st.tuples(st.just("environment.configure"), environments, data(configuration=data(A=texts))),
    st.tuples(st.just("environment.add_target"), environments, data(target=data(name=st.just("l")))),
    st.tuples(st.just("environment.remove_target"), environments, data(name=st.just("l"))),
    st.tuples(
        st.just("deployment.request"), deployments, data(stack_id=stacks, environment_id=environments, version=versions)
    ),
    st.tuples(st.just("deployment.cancel"), deployments, data(reason=texts)),
    st.tuples(
        st.just("model.register"),
        models,
        data(name=st.just("M"), features=st.just([{"name": "age"}]), target=st.just("churned")),
    ),
    st.tuples(st.just("model.retrain"), models, data(reason=texts)),
    st.tuples(st.just("experiment.cancel"), experiments, data(reason=texts)),
    st.tuples(st.just("monitor.record_labels"), models, data(labels=st.just([{"prediction": "b.0", "label": "1"}]))),
    st.tuples(st.just("feature.define"), features, data(data_type=st.just("number"), description=texts)),
    st.tuples(
        st.just("feature.derive"),
        features,
        data(upstream=st.lists(features, min_size=1, max_size=2), transformation_type=st.sampled_from(["sum", "max"])),
    ),
    st.tuples(
        st.just("entity.record_features"),
        entities,
        data(
            values=st.dictionaries(features, st.sampled_from([1.0, 2.5, None]), min_size=1),
            timestamp=st.sampled_from(["2026-11-20T12:00:00Z", "2026-11-21T12:00:00+05:00"]),
        ),
    ),
)
sent = st.tuples(st.integers(0, WRITERS - 1), commands, st.integers(0, 30))
"""By whom, what, and under which id: of those that share one, whichever comes first counts."""

waves = st.lists(st.lists(sent, min_size=1, max_size=10), min_size=1, max_size=5)
"""Waves follow each other; within one everything happens at once."""

BEFORE = [
    ("organization.register", "a", {"name": "A"}),
    ("stack.register", "s", {"name": "S", "organization_id": "a"}),
    ("stack.publish_version", "s", {"version": "1", "release": {"program": "sh"}}),
    ("environment.register", "e", {"name": "E", "organization_id": "a", "targets": [{"name": "l"}]}),
    ("feature.define", "f", {"data_type": "number"}),
    ("feature.define", "g", {"data_type": "number"}),
]


class World:
    """One log, its writers, and a projector, for all examples: each has streams of its own."""

    def __init__(self, platform, writers):
        self.platform, self.writers, self.runs = platform, writers, 0

    async def send(self, writer, type, stream, data, id):
        run = f"r{self.runs}-"
        named = {name: of_run(run, name, value) for name, value in data.items()}
        request = CommandRequest(type=type, stream_id=run + stream, data=msgspec.json.encode(named), id=run + id)
        return await self.writers[writer].handler.handle(request, ANN)


def of_run(run, name, value):
    """Ids, in whatever they stand."""
    if name == "upstream":
        return [run + each for each in value]
    if name == "values":
        return {run + each: number for each, number in value.items()}
    return run + value if name.endswith("_id") else value


@pytest.fixture(scope="module")
def loop():
    with asyncio.Runner() as loop:
        yield loop


@pytest.fixture(scope="module")
def world(loop, postgres_url):
    servers, stack = Servers(1), AsyncExitStack()
    servers.start()
    try:
        yield loop.run(begin(stack, servers, postgres_url))
        loop.run(stack.aclose())
    finally:
        servers.stop()


async def begin(stack, servers, postgres_url):
    admin = await asyncpg.connect(postgres_url)
    await admin.execute("DROP DATABASE IF EXISTS any_commands WITH (FORCE)")
    await admin.execute("CREATE DATABASE any_commands")
    await admin.close()
    url = postgres_url.rsplit("/", 1)[0] + "/any_commands"
    platform = await stack.enter_async_context(projecting(servers.url, url))
    writers = [await stack.enter_async_context(open_core(servers.url)) for _ in range(WRITERS)]
    await stack.enter_async_context(platform.running())
    return World(platform, writers)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(waves)
def test_any_commands_from_many_writers_leave_a_right_log_and_right_read_models(loop, world, script):
    """No version twice, no gap, every command exactly once; states and rows equal a fold of the log."""
    loop.run(play(world, script))


async def play(world, script):
    world.runs += 1
    store, before = world.platform.core.store, await world.platform.head()
    outcomes = [await world.send(0, *command, f"before-{i}") for i, command in enumerate(BEFORE)]
    assert {outcome.outcome for outcome in outcomes} == {"accepted"}
    for wave in script:
        outcomes += await asyncio.gather(
            *(world.send(writer, *command, str(number)) for writer, command, number in wave)
        )
    events = await store.read(before, 5_000)
    by_stream = without_gaps(events, before)
    ids = {f"before-{i}" for i in range(len(BEFORE))} | {str(number) for wave in script for _, _, number in wave}
    every_command_happened_once(outcomes, by_stream, {f"r{world.runs}-{id}" for id in ids})
    for writer in world.writers:
        await states_are_folds(writer, by_stream)
    await world.platform.caught_up()
    await equals_the_fold(world.platform)
    assert not (await verify(store)).faults


def without_gaps(events, before):
    assert [event.position for event in events] == list(range(before + 1, before + 1 + len(events)))
    by_stream = {}
    for event in events:
        by_stream.setdefault(event.stream, []).append(event)
    for stream, own in by_stream.items():
        assert [event.version for event in own] == list(range(1, len(own) + 1)), stream
    return by_stream


def every_command_happened_once(outcomes, by_stream, ids):
    """One event in each command's stream, and its own events, if it was accepted, once; all others did not happen."""
    records = {stream.id: own for stream, own in by_stream.items() if stream.category == "command"}
    assert {id: len(own) for id, own in records.items()} == dict.fromkeys(ids, 1)
    first = [outcome for outcome in outcomes if not outcome.duplicate]
    assert sorted(outcome.command_id for outcome in first) == sorted(ids)
    for outcome in outcomes:
        (record,) = records[outcome.command_id]
        assert (record.type, record.position) == (f"command.{outcome.outcome}", outcome.position)
    caused = [
        (e.stream, e.version, outcome.command_id)
        for outcome in first
        if outcome.outcome == "accepted"
        for e in outcome.events
    ]
    written = [
        (str(stream), e.version, e.envelope.causationid)
        for stream, own in by_stream.items()
        if stream.category != "command"
        for e in own
    ]
    assert sorted(caused) == sorted(written)


async def states_are_folds(writer, by_stream):
    deciders = {decider.category: decider for decider in DECIDERS}
    for (category, id), own in by_stream.items():
        if category != "command":
            decider = deciders[category]
            state = decider.fold([writer.store.decode(event) for event in own])
            aggregate = await writer.aggregates.load(decider, id, latest=True)
            assert (aggregate.version, aggregate.state) == (len(own), state), StreamId(category, id)
