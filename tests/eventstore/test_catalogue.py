"""Old events in today's form, and what cannot be read."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from eventstore.catalogue import Catalogue
from eventstore.envelope import Envelope
from eventstore.errors import UnknownEvent
from tests.eventstore.log import CONTEXT, NOON, Counted, Log, Noted, everything, stream


class First(msgspec.Struct, frozen=True, tag="test.shipped"):
    place: str


class Second(msgspec.Struct, frozen=True, tag="test.shipped"):
    street: str
    city: str


class Third(msgspec.Struct, frozen=True, tag="test.shipped"):
    street: str
    city: str
    parcels: int


def split_place(data: dict[str, Any]) -> dict[str, Any]:
    street, _, city = data.pop("place").partition(", ")
    return {**data, "street": street, "city": city}


def one_parcel(data: dict[str, Any]) -> dict[str, Any]:
    return {**data, "parcels": 1}


FIRST = Catalogue([First])
SECOND = Catalogue([Second], {("test.shipped", 1): split_place})
THIRD = Catalogue([Third], {("test.shipped", 1): split_place, ("test.shipped", 2): one_parcel})


async def test_old_and_new_events_mix_in_one_stream(log: Log) -> None:
    """Written by three releases of the program; the newest reads all of them alike and the log stays as it was."""
    first, second, third = [await log.store(catalogue=catalogue) for catalogue in (FIRST, SECOND, THIRD)]
    await first.append(stream("a"), 0, [First("High St, York"), First("Low St, Hull")], CONTEXT)
    await second.append(stream("a"), 2, [Second("Mid St", "Leeds")], CONTEXT)
    await third.append(stream("a"), 3, [Third("Old St", "Bath", 3)], CONTEXT)

    events = await third.load(stream("a"))

    assert [event.envelope.schemaversion for event in events] == [1, 1, 2, 3]
    assert [third.decode(event) for event in events] == [
        Third("High St", "York", 1),
        Third("Low St", "Hull", 1),
        Third("Mid St", "Leeds", 1),
        Third("Old St", "Bath", 3),
    ]
    assert [event.raw for event in await everything(first)] == [event.raw for event in events]


async def test_a_newer_schema_is_refused(log: Log) -> None:
    """A program of yesterday says that it is too old instead of misreading an event of today."""
    third, first = await log.store(catalogue=THIRD), await log.store(catalogue=FIRST)
    await third.append(stream("a"), 0, [Third("Old St", "Bath", 3)], CONTEXT)

    [event] = await first.load(stream("a"))

    with pytest.raises(UnknownEvent, match=r"schema version 3; this program reads up to 1"):
        first.decode(event)


@pytest.mark.parametrize(
    ("type", "version", "data", "text"),
    [
        ("test.unknown", 1, b"{}", "test.unknown is unknown"),
        ("test.shipped", 3, b'{"street":"a","city":"b","parcels":"three"}', "parcels"),
        ("test.shipped", 3, b'{"street":"a"}', "missing required field"),
        ("test.shipped", 1, b'{"street":"a"}', "place"),
        ("test.shipped", 1, b'"text"', "test.shipped"),
        ("test.shipped", 3, b'{"street":"\xff","city":"b","parcels":3}', "test.shipped"),
    ],
)
def test_what_cannot_be_read_says_why(type: str, version: int, data: bytes, text: str) -> None:
    """Unknown type, wrong data in today's or an old version, broken text: always UnknownEvent."""
    envelope = Envelope(
        specversion="1.0",
        id="e-1",
        source="/sagacity",
        type=type,
        time=NOON,
        datacontenttype="application/json",
        stream="thing/a",
        streamversion=1,
        correlationid="c",
        actor="ada",
        schemaversion=version,
        data=msgspec.Raw(data),
    )
    with pytest.raises(UnknownEvent, match=text):
        THIRD.decode(envelope)


def test_a_catalogue_that_contradicts_itself_is_refused() -> None:
    """Two types of one name; an upcaster missing in between."""
    with pytest.raises(ValueError, match=r"two event types are called test\.shipped"):
        Catalogue([First, Second])
    with pytest.raises(ValueError, match="there is a gap"):
        Catalogue([Third], {("test.shipped", 2): one_parcel})


def test_what_a_catalogue_knows() -> None:
    catalogue = Catalogue([Noted | Counted, Third], {("test.shipped", 1): split_place, ("test.shipped", 2): one_parcel})

    assert dict(catalogue.types()) == {"test.noted": Noted, "test.counted": Counted, "test.shipped": Third}
    assert [catalogue.schema_version(type) for type in catalogue.types()] == [1, 1, 3]
    assert catalogue.knows("test.noted")
    assert not catalogue.knows("test.other")
