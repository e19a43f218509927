"""Events of other systems whose `source` is registered here become records."""

from __future__ import annotations

import msgspec
import pytest

from domain.record import Received
from eventstore.blobs import Blobs
from eventstore.envelope import StreamId
from handlers.command import Caller, CommandRequest
from handlers.inbound import Inbox
from handlers.inbound_messages import InboundMessages

ORDER = {"number": "7", "total": 12.5}


async def registered(core, id, **more):
    data = {"platform": "cloudevents", "name": "Events", **more}
    request = CommandRequest(type="source.register", stream_id=id, data=msgspec.json.encode(data))
    assert (await core.handler.handle(request, Caller())).outcome == "accepted"


def event(source, **changes):
    whole = {"specversion": "1.0", "id": "1", "source": source, "type": "order.placed", "data": ORDER, **changes}
    return msgspec.json.encode(whole)


async def taken(core, *raws):
    inbox = Inbox(core.handler, InboundMessages(core.aggregates, Blobs(core.connection), core.handler))
    for raw in raws:
        await inbox.take("in.x.y", raw)


async def records_of(core, source):
    found = [each for each in await core.store.read(0, 10_000, category="record") if each.type == "record.received"]
    data = [(each, core.store.decode(each)) for each in found]
    return [(each, received) for each, received in data if received.message.source == source]


async def inbound(core, type, source):
    """Of one source, in whatever order."""
    found = [each for each in await core.store.read(0, 10_000, category="inbound") if each.type == type]
    return [each for each in found if source.encode() in each.raw]


async def test_an_event_of_a_registered_source_is_one_record_however_often_it_comes(core):
    await registered(core, "shop")
    raw = event("/shop", subject="order-7", actor="till", correlationid="talk-7")
    await taken(core, raw, raw)
    ((received, data),) = await records_of(core, "shop")
    assert isinstance(data, Received)
    assert (data.message.platform, data.message.data, data.message.sender.id) == ("cloudevents", ORDER, "/shop")
    assert (data.message.conversation, data.raw) == ("order-7", raw.decode())
    assert (received.envelope.actor, received.envelope.correlationid) == ("till", "talk-7")
    assert len(await inbound(core, "inbound.received", "/shop")) == 1, "and it is an event on the record, as any other"


@pytest.mark.parametrize(
    ("source", "more"),
    [("guarded", {"secret": "SOME_SECRET"}), ("uploads", {"platform": "http"})],
    ids=["whose source has a secret", "whose source is of another platform"],
)
async def test_an_event_is_no_record(core, source, more):
    await registered(core, source, **more)
    await taken(core, event(source))
    assert await records_of(core, source) == []
    assert len(await inbound(core, "inbound.received", source)) == 1


async def test_a_source_that_is_closed_takes_nothing(core):
    await registered(core, "shut")
    await core.handler.handle(CommandRequest(type="source.close", stream_id="shut"), Caller())
    await taken(core, event("shut"))
    assert await records_of(core, "shut") == []
    assert len(await inbound(core, "inbound.received", "shut")) == 1


@pytest.mark.parametrize("source", ["nobody", "_", "https://example.org/a?b=c", "-"])
async def test_what_is_no_source_of_ours_is_put_on_the_record_as_before(core, source):
    await taken(core, event(source, id=f"of {source}"))
    assert len(await inbound(core, "inbound.received", f"of {source}")) == 1


async def test_a_command_is_a_command_whoever_sends_it(core):
    await registered(core, "crm")
    await taken(core, event("crm", type="organization.register", subject="by-event", data={"name": "Acme"}))
    assert [each.type for each in await core.store.load(StreamId("organization", "by-event"))] == [
        "organization.registered"
    ]
    assert await records_of(core, "crm") == []


async def test_what_has_not_the_form_of_a_message_is_parked_with_every_fault(core):
    await registered(core, "odd")
    await taken(core, event("odd", data_base64="%%%", sender=["x"]))
    (parked,) = await inbound(core, "inbound.parked", "odd")
    reason = core.store.decode(parked).reason
    assert "/data_base64 is no base64" in reason
    assert "/sender is no text" in reason
    assert await records_of(core, "odd") == []
