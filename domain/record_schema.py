"""The schema of a domain, in versions: what its records have to say. A version says the same for ever."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct, structs

from domain.decider import Decider, Refusal
from domain.schema import Schema
from domain.schema_faults import schema_faults


class Publish(Struct, frozen=True, forbid_unknown_fields=True, tag="record_schema.publish"):
    """The next version. What was scored by an earlier one stays as it is."""

    schema: Schema


class Withdraw(Struct, frozen=True, forbid_unknown_fields=True, tag="record_schema.withdraw"):
    """New records are held to the version before. One always stays."""

    version: int
    reason: Annotated[str, Meta(min_length=1, max_length=1000)]


# Event tags are storage: never rename one that has been written.
class Published(Struct, frozen=True, tag="record_schema.published"):
    """Versions count from 1."""

    version: int
    schema: Schema


class Withdrawn(Struct, frozen=True, tag="record_schema.withdrawn"):
    """`latest` is what counts from now on."""

    version: int
    reason: str
    latest: int


class Unknown(Struct, frozen=True, tag="unknown"):
    pass


class Known(Struct, frozen=True, tag="known"):
    """`versions` are all there ever were, `latest` the one that new records are held to."""

    versions: dict[int, Schema]
    latest: int
    withdrawn: tuple[int, ...] = ()


Command = Publish | Withdraw
Event = Published | Withdrawn
State = Unknown | Known


def decide(command: Command, state: State) -> tuple[Event, ...] | Refusal:
    match command, state:
        case Publish(schema), Unknown():
            return _sound(Published(1, schema))
        case Publish(schema), Known():
            return _publish(schema, state)
        case Withdraw(), Unknown():
            return Refusal("schema_not_found", "there is no such schema")
        case Withdraw(version, reason), Known():
            return _withdraw(version, reason, state)


def _publish(schema: Schema, state: Known) -> tuple[Event, ...] | Refusal:
    latest = state.versions[state.latest]
    if schema == latest:
        return ()
    if schema.name != latest.name:
        return Refusal("schema_name_fixed", f"this is the schema {latest.name}, and stays it")
    return _sound(Published(max(state.versions) + 1, schema))


def _sound(published: Published) -> tuple[Event, ...] | Refusal:
    faults = schema_faults(published.schema)
    return Refusal("schema_invalid", "; ".join(faults)) if faults else (published,)


def _withdraw(version: int, reason: str, state: Known) -> tuple[Event, ...] | Refusal:
    if version not in state.versions:
        return Refusal("version_not_found", f"there is no version {version}")
    if version in state.withdrawn:
        return ()
    left = [each for each in state.versions if each not in (*state.withdrawn, version)]
    if not left:
        return Refusal("version_needed", "it is the only version: publish a better one first")
    return (Withdrawn(version, reason, max(left)),)


def evolve(state: State, event: Event) -> State:
    match event, state:
        case Published(version, schema), Unknown():
            return Known({version: schema}, version)
        case Published(version, schema), Known():
            return structs.replace(state, versions={**state.versions, version: schema}, latest=version)
        case Withdrawn(version, _, latest), Known():
            return structs.replace(state, withdrawn=(*state.withdrawn, version), latest=latest)
        case Withdrawn(), Unknown():
            return state


record_schema: Decider[Command, State, Event] = Decider(
    "record_schema", Command, Event, State, Unknown(), decide, evolve, opening=(Publish,)
)
