"""One command, one outcome, for ever."""

import asyncio

import msgspec
import pytest

from domain.strategy import Canary
from domain.workflow import LARGEST_INLINE, Value
from eventstore.blobs import Blobs
from eventstore.envelope import StreamId
from handlers.command import Caller, CommandRequest, InvalidCommand
from sagacity.wiring import open_core

ANN = Caller(actor="ann", correlation_id="talk", causation_id="because", tenant="t1")


def send(core, type, stream=None, data=None, *, caller=ANN, **fields):
    body = msgspec.json.encode({} if data is None else data)
    return core.handler.handle(CommandRequest(type=type, stream_id=stream, data=body, **fields), caller)


async def test_an_accepted_command_leaves_its_events_and_one_record(core):
    outcome = await send(core, "organization.register", "o1", {"name": "One"}, id="c1")
    assert (outcome.outcome, outcome.version, outcome.stream) == ("accepted", 1, StreamId("organization", "o1"))
    (record,) = await core.store.load(StreamId("command", "c1"))
    (event,) = await core.store.load(StreamId("organization", "o1"))
    assert record.position == outcome.position == event.position + 1
    assert [caused.position for caused in outcome.events] == [event.position]


async def test_actor_correlation_causation_and_tenant_are_on_the_record(core):
    await send(core, "organization.register", "o2", {"name": "Two"}, id="c2")
    (record,) = await core.store.load(StreamId("command", "c2"))
    (event,) = await core.store.load(StreamId("organization", "o2"))
    for each in (record, event):
        assert (each.envelope.actor, each.envelope.correlationid, each.envelope.tenant) == ("ann", "talk", "t1")
    assert record.envelope.causationid == "because"
    assert event.envelope.causationid == "c2"


async def test_a_refused_command_leaves_exactly_its_record(core):
    await send(core, "organization.register", "o3", {"name": "Three"})
    refused = await send(core, "organization.register", "o3", {"name": "Other"}, id="c3")
    assert (refused.outcome, refused.refusal) == ("refused", "organization_already_registered")
    assert len(await core.store.load(StreamId("command", "c3"))) == 1
    assert len(await core.store.load(StreamId("organization", "o3"))) == 1


@pytest.mark.parametrize("again", [{"name": "Four"}, {"name": "Something else"}])
async def test_sent_again_it_returns_its_first_outcome_and_does_nothing(server, core, again):
    id = f"c4-{again['name'][:4]}"
    first = await send(core, "organization.register", id, {"name": "Four"}, id=id)
    async with open_core(server.url) as other:
        second = await send(other, "organization.register", id, again, id=id)
    assert second == msgspec.structs.replace(first, duplicate=True)
    assert len(await core.store.load(StreamId("organization", id))) == 1


@pytest.mark.parametrize("type", ["workflow.start", "workflow.invoke"])
async def test_a_large_input_of_a_run_is_on_the_record_by_its_hash(core, type):
    """Of the run and of the command, also of one that is refused; what is as large as an event may be stays inline."""
    await send(core, "skill.register", "echo", {"specification": {"version": "1", "input": {"type": "string"}}})
    definition = {"steps": {"only": {"skill": "echo"}}, "input": {"type": "string"}}
    await send(core, "workflow_definition.publish", "echoing", {"definition": definition})
    named = {"definition": "echoing"} if type == "workflow.start" else {"skill": "echo"}
    run = f"large-{type.partition('.')[2]}"
    fits, large = "x" * (LARGEST_INLINE - 2), "ä" * LARGEST_INLINE
    for id, given in ((f"{run}-fits", fits), (run, large)):
        outcome = await send(core, type, id, {**named, "input": given}, id=f"c-{id}")
        assert outcome.outcome == "accepted", outcome
    (inline, *_) = await core.store.load(StreamId("workflow", f"{run}-fits"))
    assert core.store.decode(inline).input == Value(fits)
    (started, *_) = await core.store.load(StreamId("workflow", run))
    value = core.store.decode(started).input
    assert msgspec.json.decode(await Blobs(core.connection).get(value.hash)) == large
    refused = await send(core, type, f"{run}-no", {**named, "input": [large]}, id=f"c-{run}-no")
    assert refused.refusal == "input_invalid"
    for id in (run, f"{run}-no"):
        (record,) = await core.store.load(StreamId("command", f"c-{id}"))
        data = msgspec.json.decode(core.store.decode(record).data)
        assert data.keys() == {*named, "input_stored"}
        assert data["input_stored"]["size"] >= value.size
    assert data["input_stored"]["hash"] != value.hash


async def test_a_refusal_too_is_returned_again(core):
    first = await send(core, "organization.describe", "o5", {"description": "x"}, id="c5")
    await send(core, "organization.register", "o5", {"name": "Five"})
    second = await send(core, "organization.describe", "o5", {"description": "x"}, id="c5")
    assert first.refusal == second.refusal == "organization_not_found"
    assert second.duplicate


async def test_the_same_id_at_the_same_moment_counts_once(server, core):
    async with open_core(server.url) as other:
        outcomes = await asyncio.gather(
            *(
                send(c, "organization.register", f"o6-{i}", {"name": "Six"}, id="c6")
                for i in range(10)
                for c in (core, other)
            )
        )
    assert sum(not outcome.duplicate for outcome in outcomes) == 1
    assert len({outcome.stream for outcome in outcomes}) == 1


async def test_an_expected_version_that_is_past_is_refused_and_recorded(core):
    await send(core, "organization.register", "o7", {"name": "Seven"})
    refused = await send(core, "organization.describe", "o7", {"description": "x"}, expected_version=9, id="c7")
    assert refused.refusal == "version_conflict"
    assert (await core.handler.outcome("c7")).refusal == "version_conflict"
    accepted = await send(core, "organization.describe", "o7", {"description": "x"}, expected_version=1)
    assert accepted.version == 2


async def test_what_another_process_wrote_is_never_refused_from_an_old_cache(server, core):
    async with open_core(server.url) as other:
        await send(other, "organization.describe", "o8", {"description": "x"})
        await send(core, "organization.register", "o8", {"name": "Eight"})
        assert (await send(other, "organization.describe", "o8", {"description": "y"})).outcome == "accepted"


@pytest.mark.parametrize(
    ("type", "fields", "data", "faults"),
    [
        ("no.such", {}, {}, ["/type"]),
        ("environment.reserve_rollout", {}, {"stack_id": "a", "deployment_id": "b"}, ["/type"]),
        ("organization.register", {"id": "a b"}, {"name": "x"}, ["/id"]),
        ("organization.register", {"stream_id": ".."}, {"name": "x"}, ["/stream/id"]),
        ("organization.register", {"stream_id": "a.b"}, {"name": "x"}, ["/stream/id"]),
        ("organization.register", {"stream_id": "x" * 129}, {"name": "x"}, ["/stream/id"]),
        ("organization.register", {"stream_category": "stack"}, {"name": "x"}, ["/stream/category"]),
        ("organization.register", {"expected_version": -1}, {"name": "x"}, ["/expected_version"]),
        ("organization.register", {}, {"name": 1, "settings": [], "x": 1}, ["/data", "/data/name", "/data/settings"]),
        ("organization.register", {}, {"name": ""}, ["/data/name"]),
        ("organization.register", {}, [], ["/data"]),
        ("stack.publish_version", {}, {"version": "../1", "release": {}}, ["/data/release", "/data/version"]),
    ],
)
async def test_what_is_no_command_is_told_every_fault_and_leaves_nothing(core, type, fields, data, faults):
    before = (await core.store.state()).last
    request = CommandRequest(**{"type": type, "data": msgspec.json.encode(data), **fields})
    with pytest.raises(InvalidCommand) as error:
        await core.handler.handle(request, ANN)
    assert sorted({fault.where for fault in error.value.faults}) == faults
    assert (await core.store.state()).last == before


async def test_a_request_for_a_deployment_reserves_the_stacks_place_in_the_same_write(core):
    await _prepare(core, "9")
    request = {"stack_id": "s9", "environment_id": "e9", "version": "1.0"}
    outcome = await send(core, "deployment.request", "d9", request)
    assert [event.type for event in outcome.events] == ["deployment.requested", "environment.rollout_reserved"]
    refused = await send(core, "deployment.request", "d9b", request)
    assert refused.refusal == "rollout_in_progress"
    assert not await core.store.load(StreamId("deployment", "d9b"))


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"stack_id": "nowhere"}, "stack_not_found"),
        ({"environment_id": "nowhere"}, "environment_not_found"),
        ({"version": "9.9"}, "version_not_found"),
        ({"target": "nowhere"}, "target_not_found"),
    ],
)
async def test_a_deployment_needs_everything_it_names(core, change, refusal):
    name = refusal.replace("_", "-")
    await _prepare(core, name)
    request = {"stack_id": f"s{name}", "environment_id": f"e{name}", "version": "1.0", **change}
    assert (await send(core, "deployment.request", f"d{name}", request)).refusal == refusal


async def test_an_invalid_strategy_is_refused_with_every_fault_before_anything_starts(core):
    await _prepare(core, "11")
    steps = [{"weight": 80}, {"weight": 60}]
    strategy = {"kind": "canary", "steps": steps, "analysis": {"latency_quantiles": [0.9, 0.5]}}
    request = {"stack_id": "s11", "environment_id": "e11", "version": "1.0", "strategy": strategy}
    refused = await send(core, "deployment.request", "d11", request)
    assert refused.refusal == "strategy_invalid"
    for fault in ("less than the 80 before it", "no room for an equal baseline", "must increase"):
        assert fault in refused.reason
    assert not await core.store.load(StreamId("deployment", "d11"))
    request["strategy"] = "canary"
    assert (await send(core, "deployment.request", "d11", request)).outcome == "accepted"
    (requested,) = await core.store.load(StreamId("deployment", "d11"))
    assert core.store.decode(requested).strategy == Canary()


@pytest.mark.parametrize("strategy", [{"kind": "canary", "steps": []}, {"kind": "recreate"}, "recreate"])
async def test_what_is_no_strategy_is_no_command(core, strategy):
    body = {"stack_id": "s", "environment_id": "e", "version": "1.0", "strategy": strategy}
    with pytest.raises(InvalidCommand) as error:
        await send(core, "deployment.request", "d12", body)
    assert any(fault.where.startswith("/data/strategy") for fault in error.value.faults)


@pytest.mark.parametrize("kind", ["stack", "environment"])
async def test_what_belongs_to_an_organization_needs_one_that_is_there(server, core, kind):
    """Also one that another process has registered only just now."""
    owner = f"owner-of-{kind}"
    about = {"name": "x", "organization_id": owner}
    refused = await send(core, f"{kind}.register", f"{kind}-1", about)
    assert (refused.outcome, refused.refusal) == ("refused", "organization_not_found")
    assert not await core.store.load(StreamId(kind, f"{kind}-1"))
    async with open_core(server.url) as other:
        await send(other, "organization.register", owner, {"name": "Acme"})
    assert (await send(core, f"{kind}.register", f"{kind}-1", about)).outcome == "accepted"


async def test_two_requests_at_once_make_one_deployment(server, core):
    await _prepare(core, "10")
    request = {"stack_id": "s10", "environment_id": "e10", "version": "1.0"}
    async with open_core(server.url) as other:
        outcomes = await asyncio.gather(
            *(send(c, "deployment.request", f"d10-{i}", request) for i, c in enumerate([core, other] * 4))
        )
    assert sorted(outcome.outcome for outcome in outcomes) == ["accepted"] + ["refused"] * 7


async def _prepare(core, name):
    owner, targets = f"owner{name}", [{"name": "local"}]
    await send(core, "organization.register", owner, {"name": "a"})
    await send(core, "environment.register", f"e{name}", {"name": "e", "organization_id": owner, "targets": targets})
    await send(core, "stack.register", f"s{name}", {"name": "s", "organization_id": owner})
    await send(core, "stack.publish_version", f"s{name}", {"version": "1.0", "release": {"program": "sh"}})
