"""A stack is what gets deployed: a program in versions, with the configuration all of them share."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct, structs

from domain.decider import ID, Decider, Refusal

Name = Annotated[str, Meta(min_length=1, max_length=120)]
Id = Annotated[str, Meta(pattern=ID)]
Version = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$")]
VariableName = Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=200)]
Configuration = dict[VariableName, str]
"""Environment variables of the program."""


class ReleaseSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """How a version is run: a program with arguments, its environment and the path of its health URL.

    `models` are the model versions that belong to it, by name: they move and are rolled back with it. The program
    finds them in its environment, as JSON in `MODELS`.
    """

    program: Annotated[str, Meta(min_length=1, max_length=4096)]
    arguments: tuple[Annotated[str, Meta(max_length=32768)], ...] = ()
    environment: Configuration = {}
    health_path: Annotated[str, Meta(pattern=r"^/\S*$", max_length=2048)] = "/health"
    working_directory: Annotated[str, Meta(max_length=4096)] | None = None
    models: dict[Annotated[str, Meta(pattern=ID)], Version] = {}


class Register(Struct, frozen=True, forbid_unknown_fields=True, tag="stack.register"):
    name: Name
    organization_id: Id
    description: Annotated[str, Meta(max_length=4000)] = ""
    configuration: Configuration = {}


class Configure(Struct, frozen=True, forbid_unknown_fields=True, tag="stack.configure"):
    """Replaces the configuration; running deployments keep theirs."""

    configuration: Configuration


class PublishVersion(Struct, frozen=True, forbid_unknown_fields=True, tag="stack.publish_version"):
    """A version says the same for ever: publishing it again with another release is refused."""

    version: Version
    release: ReleaseSpec


class WithdrawVersion(Struct, frozen=True, forbid_unknown_fields=True, tag="stack.withdraw_version"):
    version: Version
    reason: Annotated[str, Meta(min_length=1, max_length=1000)]


# Event tags are storage: never rename one that has been written.
class Registered(Struct, frozen=True, tag="stack.registered"):
    name: str
    organization_id: str
    description: str
    configuration: dict[str, str]


class Configured(Struct, frozen=True, tag="stack.configured"):
    configuration: dict[str, str]


class VersionPublished(Struct, frozen=True, tag="stack.version_published"):
    version: str
    release: ReleaseSpec


class VersionWithdrawn(Struct, frozen=True, tag="stack.version_withdrawn"):
    version: str
    reason: str


class Unknown(Struct, frozen=True, tag="unknown"):
    pass


class Known(Struct, frozen=True, tag="known"):
    name: str
    organization_id: str
    description: str
    configuration: dict[str, str]
    versions: dict[str, ReleaseSpec] = {}
    withdrawn: tuple[str, ...] = ()


Command = Register | Configure | PublishVersion | WithdrawVersion
Event = Registered | Configured | VersionPublished | VersionWithdrawn
State = Unknown | Known


def decide(command: Command, state: State) -> tuple[Event, ...] | Refusal:
    match command, state:
        case Register(name, organization_id, description, configuration), Unknown():
            return (Registered(name, organization_id, description, configuration),)
        case Register(), Known(name):
            return Refusal("stack_already_registered", f"this id belongs to the stack {name!r}")
        case Configure(configuration), Known():
            return () if configuration == state.configuration else (Configured(configuration),)
        case PublishVersion(version, release), Known():
            return _publish(version, release, state)
        case WithdrawVersion(version, reason), Known():
            return _withdraw(version, reason, state)
        case ((Configure() | PublishVersion() | WithdrawVersion()), Unknown()):
            return Refusal("stack_not_found", "there is no such stack")


def _publish(version: str, release: ReleaseSpec, state: Known) -> tuple[Event, ...] | Refusal:
    if version in state.withdrawn:
        return Refusal("version_withdrawn", f"version {version} was withdrawn; publish another one")
    published = state.versions.get(version)
    if published is None:
        return (VersionPublished(version, release),)
    if published == release:
        return ()
    return Refusal("version_already_published", f"version {version} stands for another release")


def _withdraw(version: str, reason: str, state: Known) -> tuple[Event, ...] | Refusal:
    if version in state.withdrawn:
        return ()
    if version not in state.versions:
        return Refusal("version_not_found", f"the stack has no version {version}")
    return (VersionWithdrawn(version, reason),)


def evolve(state: State, event: Event) -> State:
    match event, state:
        case Registered(name, organization_id, description, configuration), _:
            return Known(name, organization_id, description, configuration)
        case Configured(configuration), Known():
            return structs.replace(state, configuration=configuration)
        case VersionPublished(version, release), Known():
            return structs.replace(state, versions={**state.versions, version: release})
        case VersionWithdrawn(version), Known():
            kept = {name: release for name, release in state.versions.items() if name != version}
            return structs.replace(state, versions=kept, withdrawn=(*state.withdrawn, version))
        case ((Configured() | VersionPublished() | VersionWithdrawn()), Unknown()):
            return state


stack: Decider[Command, State, Event] = Decider(
    "stack", Command, Event, State, Unknown(), decide, evolve, opening=(Register,)
)
