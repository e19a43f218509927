"""Events from outside: whatever comes in is on the record afterwards, once, and never in the way of anybody else."""

import asyncio
from contextlib import asynccontextmanager

import msgspec
import pytest

from domain import inbound
from domain.contexts import DECIDERS, EVENTS
from domain.decider import Refusal
from eventstore.aggregates import Aggregates
from eventstore.catalogue import Catalogue
from eventstore.connection import connect_to
from eventstore.envelope import StreamId
from eventstore.store import EventStore
from eventstore.streams import LogLocation, ask, create_log
from eventstore.verification import verify
from handlers.command import Caller, CommandRequest
from handlers.command_handler import CommandHandler
from handlers.inbound import ATTEMPT, Inbox, InvalidCloudEvent, publish, run_inbound
from handlers.inbound_stream import STREAM
from handlers.routes import routes_of


def cloud_event(**changes):
    return {"specversion": "1.0", "id": "1", "source": "/ci", "type": "build.finished", **changes}


def encoded(**changes):
    return msgspec.json.encode(cloud_event(**changes))


async def of_type(core, tag, **wanted):
    events = [event for event in await core.store.read(0, 10_000, category="inbound") if event.type == tag]
    data = [core.store.decode(event) for event in events]
    return [each for each in data if all(getattr(each, name) == value for name, value in wanted.items())]


async def test_an_event_is_recorded_once_however_often_it_comes(core):
    inbox = Inbox(core.handler)
    for _ in range(3):
        await inbox.take("in.ci.b", encoded(id="once", data={"ok": True}))
    (received,) = await of_type(core, "inbound.received", id="once")
    assert (received.source, received.kind) == ("/ci", "build.finished")
    assert msgspec.json.decode(received.document) == cloud_event(id="once", data={"ok": True})


async def test_an_event_that_is_a_command_is_executed_once_with_its_context(core):
    raw = encoded(
        id="cmd",
        type="organization.register",
        subject="from-ci",
        data={"name": "x"},
        actor="robot",
        correlationid=5,
        tenant="t",
        traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    )
    inbox = Inbox(core.handler)
    for _ in range(3):
        await inbox.take("in.ci.c", raw)
    (event,) = await core.store.load(StreamId("organization", "from-ci"))
    envelope = event.envelope
    assert (envelope.actor, envelope.correlationid, envelope.tenant) == ("robot", "5", "t")
    assert envelope.traceparent == "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize("traceparent", ["00-zz", 5, {"a": 1}, "00-" + "0" * 32 + "-" + "0" * 16 + "-01"])
async def test_a_malformed_traceparent_counts_as_none(core, traceparent):
    name = f"trace-{abs(hash(str(traceparent)))}"
    raw = encoded(id=name, type="organization.register", subject=name, data={"name": "x"}, traceparent=traceparent)
    await Inbox(core.handler).take("in.ci.c", raw)
    (event,) = await core.store.load(StreamId("organization", name))
    assert event.envelope.traceparent is None


FAULTY = [
    ("no bytes", b"", "/: Input data was truncated"),
    ("no UTF-8", b"\xff\xfe\x00", "/: JSON is malformed: invalid character (byte 0)"),
    ("NaN", b'{"specversion":"1.0","id":"n","source":"s","type":"t","data":NaN}', "invalid character (byte 61)"),
    ("half a surrogate pair", b'{"specversion":"1.0","id":"\\ud800","source":"s","type":"t"}', "surrogate pair"),
    ("nested without end", b"[" * 5_000, "/: "),
    ("a list", b"[]", "/: Input should be an object"),
    ("nothing in it", b"{}", "/specversion: Field required; /id: Field required; /source: Field required; /type:"),
    ("another version", encoded(id="f1", specversion="0.3"), "/specversion: Input should be '1.0'"),
    ("an id with NUL", encoded(id="a\0b"), "/id: String should match pattern"),
    ("a source with a line break", encoded(id="f2", source="a\nb"), "/source: String should match pattern"),
    ("an actor that is an object", encoded(id="f3", actor={"a": 1}), "/actor: Input should be a valid string"),
    ("an actor without end", encoded(id="f4", actor="x" * 201), "/actor: String should have at most 200"),
    (
        "a correlation that is a list",
        encoded(id="f5", correlationid=[]),
        "/correlationid: Input should be a valid string",
    ),
    (
        "a command without its data",
        encoded(id="f6", type="organization.register"),
        "/data: 'name' is a required property",
    ),
    (
        "a command with NUL",
        encoded(id="f7", type="organization.register", data={"name": "\0"}),
        "/data/name: must not contain",
    ),
    (
        "a command for nobody",
        encoded(id="f8", type="organization.describe", subject="a/b", data={}),
        "/stream/id: must be",
    ),
]


@pytest.mark.parametrize(("raw", "reason"), [case[1:] for case in FAULTY], ids=[case[0] for case in FAULTY])
async def test_a_faulty_event_is_parked_with_its_reason_and_the_log_stays_whole(core, raw, reason):
    subject = f"in.x.{abs(hash(raw))}"
    await Inbox(core.handler).take(subject, raw)
    (parked,) = await of_type(core, "inbound.parked", subject=subject)
    assert reason in parked.reason
    assert parked.document == raw.decode(errors="replace")
    assert (await verify(core.store)).faults == ()


async def test_an_original_too_large_for_the_log_is_parked_as_far_as_it_fits(core):
    """Quotes double in length when they are kept as text."""
    raw = b'{"a": "' + b'\\"' * 499_000
    await Inbox(core.handler).take("in.x.large", raw)
    (parked,) = await of_type(core, "inbound.parked", subject="in.x.large")
    assert len(parked.document) == 50_000
    assert "all of it in the stream INBOUND" in parked.reason


async def test_an_event_with_line_breaks_stands_on_one_line_of_the_log(core):
    raw = msgspec.json.format(encoded(id="pretty", data={"text": "a\nb"}), indent=4)
    await Inbox(core.handler).take("in.ci.p", raw)
    (received,) = await of_type(core, "inbound.received", id="pretty")
    assert b"\n" not in bytes(received.document)
    assert msgspec.json.decode(received.document)["data"] == {"text": "a\nb"}


async def test_publishing_stores_the_event_and_refuses_what_is_none(core):
    assert await publish(core.connection, encoded(source="/ci/main branch", type="build.finished*")) == (
        "in.ci-main-branch.build-finished"
    )
    with pytest.raises(InvalidCloudEvent, match="at most 1000000"):
        await publish(core.connection, encoded(data="x" * 1_000_000))


async def wait_for(condition, timeout=20.0):
    async with asyncio.timeout(timeout):
        while not (found := await condition()):
            await asyncio.sleep(0.05)
    return found


async def pending(connection, durable):
    info = await ask(connection, f"CONSUMER.INFO.{STREAM}.{durable}")
    return info["num_pending"] + info["num_ack_pending"] if "num_pending" in info else -1


async def test_nothing_that_is_published_stops_what_comes_after_it(server, core):
    """Every faulty kind, and headers that somebody else wrote, straight to the stream; then one that is right."""
    running = asyncio.create_task(run_inbound(server.url, Inbox(core.handler), core.store))
    for _, raw, _ in FAULTY:
        await core.connection.publish("in.flood.x", raw)
    for attempt in ("x", "-1", "²", "9" * 30):
        await core.connection.publish("in.flood.x", encoded(id="headers"), headers={ATTEMPT: attempt})
    await core.connection.publish("in.flood.x", encoded(id="last"))
    await wait_for(lambda: of_type(core, "inbound.received", id="last"))

    async def all_done():
        return await pending(core.connection, "inbound") == 0

    await wait_for(all_done)
    assert len(await of_type(core, "inbound.parked", subject="in.flood.x")) >= len(FAULTY) - 4
    assert len(await of_type(core, "inbound.received", id="headers")) == 1
    assert (await verify(core.store)).faults == ()
    running.cancel()
    await asyncio.wait({running})


async def test_a_parked_command_is_done_when_it_is_retried_after_its_obstacle_is_gone(server, core):
    """Here the obstacle is a router of commands that does not know it yet: an older program took the event."""

    class Older:
        def __init__(self):
            self.routes, self.direct = core.handler.routes, core.handler.direct

        async def handle(self, request, caller):
            raise RuntimeError("boom")

    raw = encoded(id="later", type="organization.register", subject="later", data={"name": "x"})
    await Inbox(Older()).take("in.ci.later", raw)
    (parked,) = await of_type(core, "inbound.parked", subject="in.ci.later")
    assert parked.reason == "unexpected: RuntimeError"
    (event,) = [
        event
        for event in await core.store.read(0, 10_000, category="inbound")
        if event.type == "inbound.parked" and core.store.decode(event).subject == "in.ci.later"
    ]
    running = asyncio.create_task(run_inbound(server.url, Inbox(core.handler), core.store))
    retry = CommandRequest(type="inbound.retry", stream_id=event.stream.id)
    assert (await core.handler.handle(retry, Caller())).outcome == "accepted"
    await wait_for(lambda: of_type(core, "inbound.received", id="later"))
    assert len(await core.store.load(StreamId("organization", "later"))) == 1
    types = [event.type for event in await core.store.load(event.stream)]
    assert types == ["inbound.parked", "inbound.retried", "inbound.received"]
    running.cancel()
    await asyncio.wait({running})


def mended(data):
    """How a later program reads what an older one wrote."""
    return {**data, "document": data["document"].replace("was.called", "is.called")}


async def test_a_retry_that_an_older_program_recorded_is_read_as_today_wherever_the_log_stands(server):
    location = LogLocation("ELSEWHERE", "elsewhere")
    old, new = Catalogue(EVENTS), Catalogue(EVENTS, {("inbound.retried", 1): mended})
    connection = await connect_to(server.url)
    await create_log(connection, location)
    async with opened(connection, old, location) as (store, handler):
        await Inbox(handler).take("in.ci.old", encoded(id="old", type="was.called", actor=[]))
        (parked,) = await store.read(category="inbound")
        retry = CommandRequest(type="inbound.retry", stream_id=parked.stream.id)
        assert (await handler.handle(retry, Caller())).outcome == "accepted"
    async with opened(connection, new, location) as (store, handler):
        running = asyncio.create_task(run_inbound(server.url, Inbox(handler), store))
        events = await wait_for(lambda: last_of(store, parked.stream, 3))
        assert "is.called" in store.decode(events[-1]).document
        running.cancel()
        await asyncio.wait({running})
    await connection.close()


async def last_of(store, stream, version):
    events = await store.load(stream)
    return events if len(events) == version else None


@asynccontextmanager
async def opened(connection, catalogue, location):
    store = await EventStore.open(connection, catalogue, location)
    aggregates = Aggregates(store)
    try:
        yield store, CommandHandler(store, aggregates, routes_of(DECIDERS))
    finally:
        await aggregates.close()
        await store.close()


async def test_a_retried_original_that_was_no_utf8_keeps_its_stream(core):
    """Kept as text it is no longer the same bytes; its history must go on where it began."""
    raw, inbox = b"\xff\xfe", Inbox(core.handler)
    await inbox.take("in.x.bytes", raw)
    (first,) = [e for e in await core.store.read(0, 10_000, category="inbound") if b"in.x.bytes" in e.raw]
    await core.handler.handle(CommandRequest(type="inbound.retry", stream_id=first.stream.id), Caller())
    (parked,) = await of_type(core, "inbound.parked", subject="in.x.bytes")
    await inbox.take("in.x.bytes", parked.document.encode(), attempt=2, identity=first.stream.id)
    types = [event.type for event in await core.store.load(first.stream)]
    assert types == ["inbound.parked", "inbound.retried", "inbound.parked"]


@pytest.mark.parametrize(
    ("given", "when", "then"),
    [
        ([], inbound.Retry(), Refusal("event_not_found", "no such event was parked")),
        ([inbound.Parked("s", "d", "r")], inbound.Retry(), (inbound.Retried("s", "d", 2),)),
        ([inbound.Parked("s", "d", "r"), inbound.Retried("s", "d", 2)], inbound.Retry(), ()),
        ([inbound.Parked("s", "d", "r")], inbound.Park("s", "d", "r"), ()),
        (
            [inbound.Parked("s", "d", "r"), inbound.Retried("s", "d", 2)],
            inbound.Park("s", "d", "again"),
            (inbound.Parked("s", "d", "again"),),
        ),
    ],
)
def test_parking_and_retrying(given, when, then):
    assert inbound.inbound.decide(when, inbound.inbound.fold(given)) == then
