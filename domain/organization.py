"""An organization owns stacks and environments."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from domain.decider import Decider, Refusal

Name = Annotated[str, Meta(min_length=1, max_length=120)]
Text = Annotated[str, Meta(max_length=4000)]
Settings = dict[str, str]


class Register(Struct, frozen=True, forbid_unknown_fields=True, tag="organization.register"):
    name: Name
    description: Text = ""
    settings: Settings = {}


class Describe(Struct, frozen=True, forbid_unknown_fields=True, tag="organization.describe"):
    """Replaces description and settings."""

    description: Text
    settings: Settings = {}


# Event tags are storage: never rename one that has been written.
class Registered(Struct, frozen=True, tag="organization.registered"):
    name: str
    description: str
    settings: Settings


class Described(Struct, frozen=True, tag="organization.described"):
    description: str
    settings: Settings


class Unknown(Struct, frozen=True, tag="unknown"):
    pass


class Known(Struct, frozen=True, tag="known"):
    name: str
    description: str
    settings: Settings


Command = Register | Describe
Event = Registered | Described
State = Unknown | Known


def decide(command: Command, state: State) -> tuple[Event, ...] | Refusal:
    match command, state:
        case Register(name, description, settings), Unknown():
            return (Registered(name, description, settings),)
        case Register(), Known(name):
            return Refusal("organization_already_registered", f"this id belongs to the organization {name!r}")
        case Describe(description, settings), Known(_, known_as, known_settings):
            unchanged = (description, settings) == (known_as, known_settings)
            return () if unchanged else (Described(description, settings),)
        case Describe(), Unknown():
            return Refusal("organization_not_found", "there is no such organization")


def evolve(state: State, event: Event) -> State:
    match event, state:
        case Registered(name, description, settings), _:
            return Known(name, description, settings)
        case Described(description, settings), Known(name):
            return Known(name, description, settings)
        case Described(), Unknown():
            return state


organization: Decider[Command, State, Event] = Decider(
    "organization", Command, Event, State, Unknown(), decide, evolve, opening=(Register,)
)
