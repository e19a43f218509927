"""A feature: what a value of that name means, which values are right, and how fresh they must be.

A feature's id is its name. Its versions say where its data is, its lineage which features it is made from. The values
themselves are recorded of entities (`domain.entity`).
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct, structs

from domain.decider import ID, Decider, Refusal
from domain.feature_rules import DataType, ValidationRules, Value, rule_faults

Id = Annotated[str, Meta(pattern=ID)]
Word = Annotated[str, Meta(min_length=1, max_length=120)]
VersionName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$")]
Figures = dict[Word, float]


class FreshnessRequirements(Struct, frozen=True, forbid_unknown_fields=True):
    """A value is stale when it is older than `max_age` seconds."""

    max_age: Annotated[float, Meta(gt=0, le=36_600 * 86_400)] | None = None


class Define(Struct, frozen=True, forbid_unknown_fields=True, tag="feature.define"):
    data_type: DataType
    description: Annotated[str, Meta(max_length=4_000)] = ""
    freshness_requirements: FreshnessRequirements = FreshnessRequirements()
    validation_rules: ValidationRules = ValidationRules()


class Describe(Struct, frozen=True, forbid_unknown_fields=True, tag="feature.describe"):
    """Replaces what is given. The data type stays: another one is another feature."""

    description: Annotated[str, Meta(max_length=4_000)] | None = None
    freshness_requirements: FreshnessRequirements | None = None
    validation_rules: ValidationRules | None = None


class PublishVersion(Struct, frozen=True, forbid_unknown_fields=True, tag="feature.publish_version"):
    """A version says the same for ever."""

    version: VersionName
    data_location: Annotated[str, Meta(min_length=1, max_length=2_000)]
    statistics: Annotated[Figures, Meta(max_length=200)] = {}
    quality_metrics: Annotated[Figures, Meta(max_length=200)] = {}


class Derive(Struct, frozen=True, forbid_unknown_fields=True, tag="feature.derive"):
    """The feature is made from these others; replaces what was said of that before."""

    upstream: Annotated[tuple[Id, ...], Meta(min_length=1, max_length=100)]
    transformation_type: Word
    transformation_config: Annotated[dict[Word, Value], Meta(max_length=200)] = {}


# Event tags are storage: never rename one that has been written.
class Defined(Struct, frozen=True, tag="feature.defined"):
    data_type: DataType
    description: str
    freshness_requirements: FreshnessRequirements
    validation_rules: ValidationRules


class Described(Struct, frozen=True, tag="feature.described"):
    description: str
    freshness_requirements: FreshnessRequirements
    validation_rules: ValidationRules


class VersionPublished(Struct, frozen=True, tag="feature.version_published"):
    version: str
    data_location: str
    statistics: dict[str, float]
    quality_metrics: dict[str, float]


class Derived(Struct, frozen=True, tag="feature.derived"):
    """`dropped`: what it was made from until then, and is no more."""

    upstream: tuple[str, ...]
    transformation_type: str
    transformation_config: dict[str, Value]
    dropped: tuple[str, ...]


class Unknown(Struct, frozen=True, tag="unknown"):
    pass


class Known(Struct, frozen=True, tag="known"):
    defined: Defined
    versions: dict[str, VersionPublished] = {}
    derived: Derived | None = None

    @property
    def upstream(self) -> tuple[str, ...]:
        return self.derived.upstream if self.derived else ()


Command = Define | Describe | PublishVersion | Derive
Event = Defined | Described | VersionPublished | Derived
State = Unknown | Known


def decide(command: Command, state: State) -> tuple[Event, ...] | Refusal:
    match command, state:
        case Define(data_type, description, freshness, rules), Unknown():
            return _sound(Defined(data_type, description, freshness, rules), data_type)
        case Define(), Known():
            same = structs.astuple(command) == structs.astuple(state.defined)
            return () if same else Refusal("feature_already_defined", "this name belongs to another feature")
        case ((Describe() | PublishVersion() | Derive()), Unknown()):
            return Refusal("feature_not_found", "there is no such feature")
        case Describe(), Known():
            return _describe(command, state)
        case PublishVersion(version), Known():
            published, before = VersionPublished(*structs.astuple(command)), state.versions.get(version)
            if before is None:
                return (published,)
            if before == published:
                return ()
            return Refusal("version_already_published", f"version {version} says something else")
        case Derive(upstream, kind, config), Known():
            dropped = tuple(name for name in state.upstream if name not in upstream)
            derived = Derived(tuple(dict.fromkeys(upstream)), kind, config, dropped)
            before = structs.replace(state.derived, dropped=()) if state.derived else None
            return () if derived == before else (derived,)


def _describe(command: Describe, state: Known) -> tuple[Event, ...] | Refusal:
    now = Described(
        state.defined.description if command.description is None else command.description,
        command.freshness_requirements or state.defined.freshness_requirements,
        command.validation_rules or state.defined.validation_rules,
    )
    return () if _define(state.defined, now) == state.defined else _sound(now, state.defined.data_type)


def _define(before: Defined, now: Described) -> Defined:
    return Defined(before.data_type, *structs.astuple(now))


def _sound(event: Defined | Described, data_type: DataType) -> tuple[Event, ...] | Refusal:
    faults = rule_faults(event.validation_rules, data_type)
    return Refusal("rules_invalid", "; ".join(faults)) if faults else (event,)


def evolve(state: State, event: Event) -> State:
    match event, state:
        case Defined(), _:
            return Known(event)
        case Described(), Known():
            return structs.replace(state, defined=_define(state.defined, event))
        case VersionPublished(version), Known():
            return structs.replace(state, versions={**state.versions, version: event})
        case Derived(), Known():
            return structs.replace(state, derived=event)
        case ((Described() | VersionPublished() | Derived()), Unknown()):
            return state


feature: Decider[Command, State, Event] = Decider(
    "feature", Command, Event, State, Unknown(), decide, evolve, opening=(Define,)
)
