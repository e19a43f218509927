"""The body that asks for values of features, many at once."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice
from typing import Annotated, Final

import jsonschema
import msgspec
from msgspec import Meta

from api.bodies import check_text, faults_of_shape, where_malformed
from api.problems import BodyRefused
from api.waiting import LAST_POSITION
from domain.decider import ID
from handlers.command import Fault, InvalidCommand
from projections.point_in_time import Moment

MAX_BYTES: Final = 4_000_000
MAX_FEATURES: Final = 200
MAX_CELLS: Final = 20_000
"""Rows times features."""

_NAMED: Final = 100
"""Faults, at most."""

Id = Annotated[str, Meta(pattern=ID)]
At = Annotated[datetime, Meta(tz=True)]


class EntityAt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    entity_id: Id
    at: At


class ValuesBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Either `rows`, each with a time of its own, or `entities`, all at one time: `at`, or now."""

    features: Annotated[list[Id], Meta(min_length=1, max_length=MAX_FEATURES)]
    rows: Annotated[list[EntityAt], Meta(min_length=1, max_length=10_000)] = []
    entities: Annotated[list[Id], Meta(min_length=1, max_length=10_000)] = []
    at: At | None = None
    known_at: Annotated[int, Meta(ge=0, le=LAST_POSITION)] | None = None


_decode = msgspec.json.Decoder(ValuesBody).decode
_shape = jsonschema.Draft202012Validator(msgspec.json.schema(ValuesBody))


def read_values_body(raw: bytes) -> ValuesBody:
    """Raises BodyRefused, or InvalidCommand with its faults."""
    check_text(raw, MAX_BYTES)
    try:
        return _decode(raw)
    except msgspec.ValidationError as error:
        faults = list(islice(faults_of_shape(_shape, msgspec.json.decode(raw)), _NAMED))
        raise InvalidCommand(faults or [Fault("", str(error))]) from error
    except msgspec.DecodeError as error:
        raise BodyRefused("malformed", 400, where_malformed(raw, error)) from error


def moments_of(body: ValuesBody, now: datetime) -> list[Moment]:
    """In the order of the body; times in UTC. Raises InvalidCommand."""
    if bool(body.rows) == bool(body.entities):
        raise InvalidCommand([Fault("", "give either rows or entities")])
    if body.rows and body.at is not None:
        raise InvalidCommand([Fault("/at", "each row has a time of its own")])
    given = body.rows or [EntityAt(entity_id, body.at or now) for entity_id in body.entities]
    if len(given) * len(body.features) > MAX_CELLS:
        raise InvalidCommand([Fault("", f"rows times features are more than {MAX_CELLS:,}")])
    try:
        return [Moment(each.entity_id, each.at.astimezone(UTC)) for each in given]
    except OverflowError as error:
        raise InvalidCommand([Fault("", "a time is out of range")]) from error
