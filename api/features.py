"""The values of features as they were: true at a time, known at a position; one by one, or for a whole training set."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.params import QueryParameter

from api.belongings import lists_of
from api.bodies import check_kind
from api.feature_bodies import MAX_BYTES, MAX_FEATURES, moments_of, read_values_body
from api.links import API, link, path_of
from api.queries import check_accept, check_id
from api.services import Services
from api.waiting import LAST_POSITION, MinPosition, Wait, reached
from domain.feature_rules import Value
from eventstore.envelope import StreamId
from eventstore.subjects import is_valid_id
from projections.entities import FeatureValue
from projections.features import FeatureDefinition
from projections.point_in_time import Moment, values_at
from projections.queries import BadQuery, read_time

PATH: Final = f"{API}/features/values"

Names = Annotated[str, QueryParameter(description="Of features, separated by commas")]
EntityId = Annotated[str, QueryParameter(description="Whose values")]
At = Annotated[str | None, QueryParameter(description="An RFC 3339 time: what was true then; now, if it is not given")]
KnownAt = Annotated[
    int | None,
    QueryParameter(ge=0, le=LAST_POSITION, description="A position: only what was on the record by then"),
]


class ValueAt(msgspec.Struct, frozen=True):
    """One value. Where none was known, `timestamp` and all that follows from it is null. `age_seconds` is how long
    before the time asked for it was true; `stale`, whether that is more than the feature's `max_age`."""

    entity_id: str
    feature_name: str
    feature_value: Value
    timestamp: datetime | None
    source: str | None
    quality_score: float | None
    recorded_at: datetime | None
    position: int | None
    age_seconds: float | None
    stale: bool | None


class RowAt(msgspec.Struct, frozen=True):
    """The values of one entity at one time, by feature, null where none was known; `stale` names those that are."""

    entity_id: str
    at: datetime
    values: dict[str, Value]
    ages: dict[str, float | None]
    stale: list[str]


def feature_router(services: Services) -> Router:
    @get("/values", summary="Values of features of one entity, as they were", operation_id="feature_values")
    async def values(
        entity_id: EntityId,
        features: Names,
        at: At = None,
        known_at: KnownAt = None,
        min_position: MinPosition = None,
        wait: Wait = 5.0,
    ) -> Response[Any]:
        """The latest value of each that was true `at` that time. `_links.self` gives the same answer for ever."""
        check_id("entities", entity_id)
        names, moment = _names(features), Moment(entity_id, _time(at))
        definitions, position = await _asked(services, names, known_at, min_position, wait)
        (found,) = await values_at(services.pool, [moment], names, position)
        items = [_value(moment, definitions[name], found.get(name)) for name in names]
        again = link(PATH, entity_id=entity_id, features=",".join(names), at=_text(moment.at), known_at=position)
        links = {"self": again, "entity": path_of("entity", entity_id)}
        return Response({"items": items, "_links": links}, headers={"X-Position": str(position)})

    @post(
        "/values/batch",
        summary="Values of features of many entities, each as they were at a time of its own",
        operation_id="feature_values_batch",
        status_code=200,
        request_max_body_size=MAX_BYTES,
    )
    async def batch(
        request: Request[Any, Any, Any], min_position: MinPosition = None, wait: Wait = 5.0
    ) -> Response[Any]:
        """Rows of a training set in which nothing is from the future. The same `known_at` gives the same rows for
        ever; without it the answer says which one it was."""
        check_kind(request.headers.get("content-type"))
        body = await asyncio.to_thread(read_values_body, await request.body())
        moments, names = moments_of(body, datetime.now(UTC)), list(dict.fromkeys(body.features))
        definitions, position = await _asked(services, names, body.known_at, min_position, wait)
        found = await values_at(services.pool, moments, names, position)
        rows = [_row(moment, definitions, each) for moment, each in zip(moments, found, strict=True)]
        answer = {"features": names, "known_at": position, "rows": rows}
        return Response(answer, headers={"X-Position": str(position)})

    return Router(
        "/features",
        route_handlers=[values, batch, *lists_of(services, "features")],
        tags=["features"],
        before_request=check_accept,
    )


async def _asked(
    services: Services, names: Sequence[str], known_at: int | None, min_position: int | None, wait: float
) -> tuple[Mapping[str, FeatureDefinition], int]:
    """The definitions, and the position that the answer knows. Raises NotReached, or BadQuery with every name that is
    no feature."""
    wanted = None if known_at is None and min_position is None else max(known_at or 0, min_position or 0)
    position = await reached(services, "entities", wanted, wait)
    await reached(services, "features", wanted, wait)
    definitions = await _definitions(services, [name for name in names if is_valid_id(name)], known_at)
    unknown = [("features", f"there is no feature {name[:128]!r}") for name in names if name not in definitions]
    if unknown:
        raise BadQuery(unknown)
    return {name: definitions[name] for name in names}, position if known_at is None else known_at


async def _definitions(
    services: Services, names: Sequence[str], known_at: int | None
) -> Mapping[str, FeatureDefinition]:
    """Those that there are, or were at that position."""
    if known_at is None:
        return await services.models.rows_of("features", names)
    then = {name: await services.models.row_as_of("features", StreamId("feature", name), known_at) for name in names}
    return {name: definition for name, definition in then.items() if definition is not None}


def _value(moment: Moment, definition: FeatureDefinition, found: FeatureValue | None) -> ValueAt:
    if found is None:
        return ValueAt(moment.entity_id, definition.id, None, None, None, None, None, None, None, None)
    age, stale = _freshness(moment, definition, found)
    return ValueAt(
        found.entity_id,
        found.feature_name,
        found.feature_value,
        found.timestamp,
        found.source,
        found.quality_score,
        found.recorded_at,
        found.position,
        age,
        stale,
    )


def _row(moment: Moment, definitions: Mapping[str, FeatureDefinition], found: Mapping[str, FeatureValue]) -> RowAt:
    fresh = {name: _freshness(moment, definitions[name], value) for name, value in found.items()}
    return RowAt(
        moment.entity_id,
        moment.at,
        {name: found[name].feature_value if name in found else None for name in definitions},
        {name: fresh[name][0] if name in fresh else None for name in definitions},
        [name for name in definitions if name in fresh and fresh[name][1]],
    )


def _freshness(moment: Moment, definition: FeatureDefinition, value: FeatureValue) -> tuple[float, bool]:
    """(age in seconds, whether that is more than it may be)"""
    age = (moment.at - value.timestamp).total_seconds()
    most = definition.freshness_requirements.max_age
    return age, most is not None and age > most


def _names(text: str) -> list[str]:
    names = list(dict.fromkeys(text.split(",")))
    if len(names) > MAX_FEATURES:
        raise BadQuery([("features", f"are more than {MAX_FEATURES}")])
    return names


def _time(text: str | None) -> datetime:
    try:
        return datetime.now(UTC) if text is None else read_time(text)
    except ValueError as error:
        raise BadQuery([("at", str(error))]) from error


def _text(time: datetime) -> str:
    return str(msgspec.to_builtins(time))
