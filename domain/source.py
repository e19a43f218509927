"""Where messages come from, and how their senders are chased: one intake channel of one platform."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, structs

from domain.decider import ID, Decider, Refusal
from domain.message import Platform
from domain.schema import Language

Id = Annotated[str, Meta(pattern=ID)]
Variable = Annotated[str, Meta(pattern=r"^[A-Z][A-Z0-9_]{0,99}$")]
"""The name of an environment variable: secrets are never on the record."""


class Calendar(Struct, frozen=True, forbid_unknown_fields=True):
    """When somebody can be expected to answer. `country` (ISO 3166, with `subdivision`) has the holidays; `days` are
    those of the week, 0 is Monday; `opens` and `closes` are hours of the day in `time_zone`."""

    time_zone: Annotated[str, Meta(max_length=60)] = "UTC"
    country: Annotated[str, Meta(pattern=r"^[A-Z]{2}$")] | None = None
    subdivision: Annotated[str, Meta(max_length=10)] | None = None
    days: Annotated[tuple[Annotated[int, Meta(ge=0, le=6)], ...], Meta(min_length=1)] = (0, 1, 2, 3, 4)
    opens: Annotated[float, Meta(ge=0, lt=24)] = 9.0
    closes: Annotated[float, Meta(gt=0, le=24)] = 17.0


class FollowUpPolicy(Struct, frozen=True, forbid_unknown_fields=True):
    """`remind_after` and `expire_after` are hours after the question: of work, by the calendar, or of the clock.

    `rounds`: how often a sender is asked about one record, reminders apart.
    """

    enabled: bool = True
    rounds: Annotated[int, Meta(ge=1, le=20)] = 3
    remind_after: Annotated[float, Meta(gt=0, le=2_000)] = 8.0
    expire_after: Annotated[float, Meta(gt=0, le=2_000)] = 24.0
    clock: Literal["work", "all"] = "work"


class Limits(Struct, frozen=True, forbid_unknown_fields=True):
    """Of one attachment in bytes; `types` are media types that are taken, such as `application/pdf` or `image/*`."""

    attachment: Annotated[int, Meta(ge=1, le=256 * 1024 * 1024)] = 25 * 1024 * 1024
    types: Annotated[tuple[Annotated[str, Meta(max_length=100)], ...], Meta(min_length=1)] = ("*/*",)


class Reply(Struct, frozen=True, forbid_unknown_fields=True):
    """How questions go out. `api` is the platform's (its own address by default), `account` what it knows this
    channel by (WhatsApp: the number's id), `apprise` a variable with an Apprise URL, in which `{to}` and
    `{reference}` stand for the sender and the message that is asked about."""

    api: Annotated[str, Meta(max_length=500)] | None = None
    account: Annotated[str, Meta(max_length=200)] | None = None
    token: Variable | None = None
    apprise: Variable | None = None


class Configuration(Struct, frozen=True, forbid_unknown_fields=True):
    """`secret` is what the platform signs with: WhatsApp the app secret, Telegram the secret token, Discord the
    public key. `verify` is what WhatsApp shows when it asks whether the address is right. `domain`: all records are
    of this one, instead of being told apart."""

    platform: Platform
    name: Annotated[str, Meta(min_length=1, max_length=120)]
    organization_id: Id | None = None
    language: Language = "en"
    domain: Id | None = None
    calendar: Calendar = Calendar()
    follow_up: FollowUpPolicy = FollowUpPolicy()
    limits: Limits = Limits()
    reply: Reply = Reply()
    secret: Variable | None = None
    verify: Variable | None = None


class Register(Configuration, frozen=True, forbid_unknown_fields=True, tag="source.register"):
    pass


class Configure(Configuration, frozen=True, forbid_unknown_fields=True, tag="source.configure"):
    """Replaces everything but the platform, which stays; follow-ups under way keep what they began with."""


class Close(Struct, frozen=True, forbid_unknown_fields=True, tag="source.close"):
    """Nothing more is taken from it; a message that comes all the same is refused."""

    reason: Annotated[str, Meta(max_length=1000)] = ""


# Event tags are storage: never rename one that has been written.
class Registered(Struct, frozen=True, tag="source.registered"):
    configuration: Configuration


class Configured(Struct, frozen=True, tag="source.configured"):
    configuration: Configuration


class Closed(Struct, frozen=True, tag="source.closed"):
    reason: str


class Unknown(Struct, frozen=True, tag="unknown"):
    pass


class Known(Struct, frozen=True, tag="known"):
    configuration: Configuration
    closed: bool = False


Command = Register | Configure | Close
Event = Registered | Configured | Closed
State = Unknown | Known


def decide(command: Command, state: State) -> tuple[Event, ...] | Refusal:
    match command, state:
        case Register(), Unknown():
            return _wrong_hours(command.calendar) or (Registered(_plain(command)),)
        case Register(), Known():
            return Refusal("source_already_registered", f"this id belongs to the source {state.configuration.name!r}")
        case _, Unknown():
            return Refusal("source_not_found", "there is no such source")
        case Configure(), Known():
            return _configure(_plain(command), state)
        case Close(reason), Known():
            return () if state.closed else (Closed(reason),)


def _configure(wanted: Configuration, state: Known) -> tuple[Event, ...] | Refusal:
    if state.closed:
        return Refusal("source_closed", "the source is closed")
    if wanted.platform != state.configuration.platform:
        return Refusal("platform_fixed", f"the source is one of {state.configuration.platform}, and stays it")
    wrong = _wrong_hours(wanted.calendar)
    return wrong or (() if wanted == state.configuration else (Configured(wanted),))


def _wrong_hours(calendar: Calendar) -> Refusal | None:
    if calendar.opens < calendar.closes:
        return None
    return Refusal("calendar_invalid", "it closes before it opens")


def _plain(command: Configuration) -> Configuration:
    return Configuration(**structs.asdict(command))


def evolve(state: State, event: Event) -> State:
    match event, state:
        case ((Registered(configuration) | Configured(configuration)), _):
            return Known(configuration)
        case Closed(), Known():
            return structs.replace(state, closed=True)
        case Closed(), Unknown():
            return state


source: Decider[Command, State, Event] = Decider(
    "source", Command, Event, State, Unknown(), decide, evolve, opening=(Register,)
)
