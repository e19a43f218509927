"""A skill: something that can be asked for by name, in versions that stand side by side, each with what it takes and
gives, where it runs, how long it may take, and what is done when it fails.

A new version gets no traffic until it is given a share, but for the first one, which gets all.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct, structs

from domain.circuit import CircuitPolicy
from domain.decider import ID, Decider, Refusal

Id = Annotated[str, Meta(pattern=ID)]
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
VersionName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$")]
Capability = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_.:-]{0,63}$")]
JsonSchema = dict[str, Any]
Seconds = Annotated[float, Meta(gt=0, le=86_400)]
Scaling = Literal["horizontal", "queue_based", "event_driven", "scheduled"]
"""horizontal: any number of workers, each takes what it can; queue_based: many at a time once the queue is long;
event_driven: one at a time as it comes, for least delay; scheduled: only at the moments of `schedule`."""

CURRENCY: Final = "EUR"
"""What everything costs is counted in."""


class RetryPolicy(Struct, frozen=True, forbid_unknown_fields=True):
    """At most so many `attempts`. The pause before the second is up to `first` seconds, each one up to `factor` times
    the one before, never above `longest`; what it is within that is drawn (full jitter)."""

    attempts: Annotated[int, Meta(ge=1, le=100)] = 4
    first: Annotated[float, Meta(ge=0, le=3_600)] = 0.5
    factor: Annotated[float, Meta(ge=1, le=10)] = 2.0
    longest: Annotated[float, Meta(ge=0, le=86_400)] = 30.0

    def pause(self, attempt: int, drawn: float) -> float:
        """Seconds after the failure of `attempt` (from 1). `drawn` is between 0 and 1.

        Full jitter: Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
        """
        return drawn * min(self.longest, self.first * self.factor ** (attempt - 1))


class Isolation(Struct, frozen=True, forbid_unknown_fields=True):
    """What one invocation of a skill that is not trusted may use, in a process of its own. Memory in bytes, `cpu` in
    seconds of the processor; `read` and `write` are directories, the only ones there are for it but those of Python."""

    cpu: Annotated[int, Meta(ge=1, le=86_400)] = 30
    memory: Annotated[int, Meta(ge=16 * 1024 * 1024, le=2**40)] = 512 * 1024 * 1024
    network: bool = False
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()


class Cost(Struct, frozen=True, forbid_unknown_fields=True):
    """`per_call` and `per_second` of its work, in `currency`; what an invocation reports itself is added. All costs of
    a run are one sum, so no other currency than CURRENCY is registered."""

    per_call: Annotated[float, Meta(ge=0)] = 0.0
    per_second: Annotated[float, Meta(ge=0)] = 0.0
    currency: Annotated[str, Meta(pattern=r"^[A-Z]{3}$")] = CURRENCY


class Specification(Struct, frozen=True, forbid_unknown_fields=True):
    """One version. `timeout`: seconds for one attempt from when it is begun; `queue_timeout`: seconds for which it may
    wait for somebody who begins it; what is `scheduled` waits for its moments, however rare. `lease`: after so many
    seconds without a sign of life its worker is taken for dead, and another one gets the work. `fallback` is the skill
    that is asked instead when this one has failed for good or its circuit is open. `effects`: whether it changes
    something outside."""

    version: VersionName
    description: Annotated[str, Meta(max_length=2_000)] = ""
    input: JsonSchema = {}
    output: JsonSchema = {}
    capabilities: Annotated[tuple[Capability, ...], Meta(max_length=50)] = ()
    scaling: Scaling = "horizontal"
    schedule: Annotated[str, Meta(max_length=100)] = ""
    timeout: Seconds = 60.0
    queue_timeout: Annotated[float, Meta(gt=0, le=31_622_400)] = 86_400.0
    lease: Seconds = 30.0
    retry: RetryPolicy = RetryPolicy()
    circuit: CircuitPolicy = CircuitPolicy()
    fallback: Name | None = None
    isolation: Isolation | None = None
    cost: Cost = Cost()
    effects: bool = True
    requires: Annotated[tuple[str, ...], Meta(max_length=50)] = ()
    """Programs, services or credentials that a worker needs to offer it, for people."""


class Register(Struct, frozen=True, forbid_unknown_fields=True, tag="skill.register"):
    """A version as it is now; the same again changes nothing, another text under the same version replaces it. One that
    was retired stays so, whoever still has it, unless it is to be offered again: `reinstate`."""

    specification: Specification
    reinstate: bool = False


class Retire(Struct, frozen=True, forbid_unknown_fields=True, tag="skill.retire"):
    """No new invocation of this version; its share goes to the others in their proportion."""

    version: VersionName
    reason: Annotated[str, Meta(max_length=1_000)] = ""


class Route(Struct, frozen=True, forbid_unknown_fields=True, tag="skill.route"):
    """Shares of traffic by version, as weights; a version that is not named gets none."""

    shares: Annotated[dict[VersionName, Annotated[int, Meta(ge=0, le=10_000)]], Meta(min_length=1, max_length=20)]


class OpenCircuit(Struct, frozen=True, tag="skill.open_circuit"):
    """So many `failures` in a row that nobody is to try before `until`."""

    version: str
    failures: int
    until: datetime
    reason: str


class CloseCircuit(Struct, frozen=True, tag="skill.close_circuit"):
    """It works again."""

    version: str


# Event tags are storage: never rename one that has been written.
class Registered(Struct, frozen=True, tag="skill.registered"):
    specification: Specification


class Retired(Struct, frozen=True, tag="skill.retired"):
    version: str
    reason: str


class Routed(Struct, frozen=True, tag="skill.routed"):
    shares: dict[str, int]


class CircuitOpened(Struct, frozen=True, tag="skill.circuit_opened"):
    version: str
    failures: int
    until: datetime
    reason: str


class CircuitClosed(Struct, frozen=True, tag="skill.circuit_closed"):
    version: str


class Unknown(Struct, frozen=True, tag="unknown"):
    pass


class Offered(Struct, frozen=True):
    """A version as it stands. `open_until`: its circuit is open before that moment."""

    specification: Specification
    retired: bool = False
    open_until: datetime | None = None


class Known(Struct, frozen=True, tag="known"):
    """`versions` in the order in which they came; `shares` are weights."""

    versions: dict[str, Offered]
    shares: dict[str, int]

    def routable(self) -> dict[str, int]:
        """Weights of the versions that may be asked."""
        return {name: weight for name, weight in self.shares.items() if weight > 0 and not self.versions[name].retired}


Command = Register | Retire | Route | OpenCircuit | CloseCircuit
Event = Registered | Retired | Routed | CircuitOpened | CircuitClosed
State = Unknown | Known


def decide(command: Command, state: State) -> tuple[Event, ...] | Refusal:
    match command, state:
        case Register(specification), Unknown():
            return Registered(specification), Routed({specification.version: 1})
        case _, Unknown():
            return Refusal("skill_not_found", "there is no such skill")
        case Register(specification, reinstate), Known(versions):
            known = versions.get(specification.version)
            if known is not None and known.retired and not reinstate:
                return _stays_retired(specification.version)
            same = known is not None and known.specification == specification and not known.retired
            return () if same else (Registered(specification),)
        case Retire(version, reason), Known(versions):
            if version not in versions:
                return _no_version(version)
            return () if versions[version].retired else (Retired(version, reason),)
        case Route(shares), Known(versions, before):
            return _route(shares, versions, before)
        case OpenCircuit(version, failures, until, reason), Known(versions):
            if version not in versions:
                return _no_version(version)
            open_until = versions[version].open_until
            later = open_until is None or until > open_until
            return (CircuitOpened(version, failures, until, reason),) if later else ()
        case CloseCircuit(version), Known(versions):
            known = versions.get(version)
            return (CircuitClosed(version),) if known is not None and known.open_until is not None else ()


def _route(
    shares: Mapping[str, int], versions: Mapping[str, Offered], before: Mapping[str, int]
) -> tuple[Event, ...] | Refusal:
    unknown = sorted(shares.keys() - versions.keys())
    if unknown:
        return _no_version(", ".join(unknown))
    retired = sorted(name for name, weight in shares.items() if weight and versions[name].retired)
    if retired:
        return Refusal("version_retired", f"retired: {', '.join(retired)}")
    if not any(shares.values()):
        return Refusal("no_share", "at least one version must have a share above 0")
    return () if shares == before else (Routed(dict(shares)),)


def _stays_retired(version: str) -> Refusal:
    again = "it is offered again when it is registered with `reinstate`"
    return Refusal("version_retired", f"version {version} was retired and stays so; {again}")


def _no_version(version: str) -> Refusal:
    return Refusal("version_not_found", f"the skill has no version {version}")


def evolve(state: State, event: Event) -> State:
    match event, state:
        case Registered(specification), Unknown():
            return Known({specification.version: Offered(specification)}, {})
        case _, Unknown():
            return state
        case Registered(specification), Known(versions):
            return structs.replace(state, versions=versions | {specification.version: Offered(specification)})
        case Retired(version), Known(versions):
            return _with(state, version, structs.replace(versions[version], retired=True))
        case Routed(shares), Known():
            return structs.replace(state, shares=shares)
        case CircuitOpened(version, _, until), Known(versions):
            return _with(state, version, structs.replace(versions[version], open_until=until))
        case CircuitClosed(version), Known(versions):
            return _with(state, version, structs.replace(versions[version], open_until=None))


def _with(state: Known, version: str, offered: Offered) -> Known:
    return structs.replace(state, versions=state.versions | {version: offered})


skill: Decider[Command, State, Event] = Decider(
    "skill",
    Command,
    Event,
    State,
    Unknown(),
    decide,
    evolve,
    internal=(OpenCircuit, CloseCircuit),
    opening=(Register,),
)
