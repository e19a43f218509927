"""A rule as data: what sets it off, and what is done then.

    {"trigger": {"type": "file_watcher", "path": "/in", "pattern": "*.pdf"},
     "actions": [{"type": "process_document", "source": "scans"}]}

Every occurrence has an id made of what occurred (a file's content, a row's key, a planned moment): it is dealt with
once, however often it is seen and whatever crashes meanwhile.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, structs

from domain.decider import ID, Decider, Refusal

Id = Annotated[str, Meta(pattern=ID)]
Variable = Annotated[str, Meta(pattern=r"^[A-Z][A-Z0-9_]{0,99}$")]
"""The name of an environment variable: secrets are never on the record."""

Seconds = Annotated[float, Meta(ge=0.1, le=86_400)]
Text = Annotated[str, Meta(min_length=1, max_length=4_000)]
_LATEST = 50


class FileWatcher(Struct, frozen=True, forbid_unknown_fields=True, tag="file_watcher"):
    """Files below `path` whose name is like `pattern`, once they have not changed for `settled` seconds. Names that
    begin with a dot, as those of files on their way often do, are meant only by patterns that do."""

    path: Annotated[str, Meta(pattern=r"^/[^\0]*$", max_length=1_000)]
    pattern: Annotated[str, Meta(min_length=1, max_length=200)] = "*"
    every: Seconds = 2.0
    settled: Seconds = 1.0
    recursive: bool = False


class DatabasePoller(Struct, frozen=True, forbid_unknown_fields=True, tag="database_poller"):
    """Rows of a PostgreSQL database, looked for `every` so many seconds. `query` has one parameter, `$1`: the text of
    the `cursor` column of the last row that was dealt with (the empty text at first), and answers in its order."""

    database: Variable
    query: Text
    cursor: Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$")]
    every: Seconds = 10.0


class Scheduler(Struct, frozen=True, forbid_unknown_fields=True, tag="time_scheduler"):
    """At the moments of a cron expression with five fields, by the clock of `time_zone`."""

    cron: Annotated[str, Meta(min_length=9, max_length=100)]
    time_zone: Annotated[str, Meta(max_length=60)] = "UTC"


Trigger = FileWatcher | DatabasePoller | Scheduler


class ProcessDocument(Struct, frozen=True, forbid_unknown_fields=True, tag="process_document"):
    """What occurred becomes a record of `source`: a file as its attachment, a row as its fields."""

    source: Id


class SendAlert(Struct, frozen=True, forbid_unknown_fields=True, tag="send_alert"):
    """Through Apprise. In `text`, `{file}`, `{name}`, `{time}` and the columns of a row stand for what occurred."""

    apprise: Variable
    text: Text


class GiveCommand(Struct, frozen=True, forbid_unknown_fields=True, tag="give_command"):
    """Any command of the platform, as the automation. In `stream_id` and the texts of `data` likewise; a text that is
    nothing but the name of a column becomes its value, be it a number."""

    command: Annotated[str, Meta(pattern=r"^[a-z_]+\.[a-z_]+$")]
    stream_id: Annotated[str, Meta(max_length=128)] | None = None
    data: dict[str, Any] = {}


Action = ProcessDocument | SendAlert | GiveCommand


class Register(Struct, frozen=True, forbid_unknown_fields=True, tag="automation.register"):
    """Registered again, the rule is replaced, and stays paused if it was; one that was removed begins anew."""

    trigger: Trigger
    actions: Annotated[tuple[Action, ...], Meta(min_length=1, max_length=20)]
    name: Annotated[str, Meta(max_length=120)] = ""


class Pause(Struct, frozen=True, forbid_unknown_fields=True, tag="automation.pause"):
    reason: Annotated[str, Meta(max_length=1_000)] = ""


class Resume(Struct, frozen=True, forbid_unknown_fields=True, tag="automation.resume"):
    """What occurred meanwhile is dealt with now, but for moments that have passed."""


class Remove(Struct, frozen=True, forbid_unknown_fields=True, tag="automation.remove"):
    pass


class Carried(Struct, frozen=True):
    """What became of one action: `reference` is the record or command that came of it."""

    action: Literal["process_document", "send_alert", "give_command"]
    outcome: Literal["done", "failed"]
    reference: str = ""
    reason: str = ""


class Fire(Struct, frozen=True, forbid_unknown_fields=True, tag="automation.fire"):
    """`what` says for people what occurred; `cursor` is where the next look begins (None: where it began before), if
    the automation still has its `triggers`th trigger."""

    occurrence: str
    what: str
    carried: tuple[Carried, ...]
    cursor: str | None = None
    triggers: int = 1


# Event tags are storage: never rename one that has been written.
class Registered(Struct, frozen=True, tag="automation.registered"):
    name: str
    trigger: Trigger
    actions: tuple[Action, ...]


class Paused(Struct, frozen=True, tag="automation.paused"):
    reason: str


class Resumed(Struct, frozen=True, tag="automation.resumed"):
    pass


class Removed(Struct, frozen=True, tag="automation.removed"):
    pass


class Fired(Struct, frozen=True, tag="automation.fired"):
    occurrence: str
    what: str
    carried: tuple[Carried, ...]
    cursor: str | None


class Unknown(Struct, frozen=True, tag="unknown"):
    pass


class Known(Struct, frozen=True, tag="known"):
    """`latest` are ids of the last occurrences that were dealt with; each of `triggers` had a cursor of its own."""

    name: str
    trigger: Trigger
    actions: tuple[Action, ...]
    paused: bool = False
    removed: bool = False
    triggers: int = 1
    cursor: str | None = None
    latest: tuple[str, ...] = ()

    @property
    def active(self) -> bool:
        return not self.paused and not self.removed


Command = Register | Pause | Resume | Remove | Fire
Event = Registered | Paused | Resumed | Removed | Fired
State = Unknown | Known


def decide(command: Command, state: State) -> tuple[Event, ...] | Refusal:
    match command, state:
        case Register(trigger, actions, name), Known(removed=False) if (state.name, state.trigger, state.actions) == (
            name,
            trigger,
            actions,
        ):
            return ()
        case Register(trigger, actions, name), _:
            return (Registered(name, trigger, actions),)
        case _, Unknown():
            return Refusal("automation_not_found", "there is no such automation")
        case Fire(occurrence, what, carried, cursor, triggers), Known():
            still = cursor if triggers == state.triggers else None
            return () if occurrence in state.latest else (Fired(occurrence, what, carried, still),)
        case _, Known(removed=True):
            return Refusal("automation_removed", "the automation was removed")
        case Pause(reason), Known():
            return () if state.paused else (Paused(reason),)
        case Resume(), Known():
            return (Resumed(),) if state.paused else ()
        case Remove(), Known():
            return (Removed(),)


def evolve(state: State, event: Event) -> State:
    match event, state:
        case Registered(), Known():
            return _replaced(state, event)
        case Registered(name, trigger, actions), Unknown():
            return Known(name, trigger, actions)
        case _, Unknown():
            return state
        case Paused(), Known():
            return structs.replace(state, paused=True)
        case Resumed(), Known():
            return structs.replace(state, paused=False)
        case Removed(), Known():
            return structs.replace(state, removed=True)
        case Fired(occurrence, _, _, cursor), Known():
            latest = (*state.latest, occurrence)[-_LATEST:]
            return structs.replace(state, latest=latest, cursor=cursor or state.cursor)


def _replaced(state: Known, event: Registered) -> Known:
    goes_on = _looks_alike(event.trigger, state.trigger)
    return Known(
        event.name,
        event.trigger,
        event.actions,
        state.paused and not state.removed,
        triggers=state.triggers if goes_on else state.triggers + 1,
        cursor=state.cursor if goes_on else None,
        latest=state.latest,
    )


def _looks_alike(trigger: Trigger, before: Trigger) -> bool:
    """Whether what comes after a cursor of the one is what comes after it for the other."""
    if isinstance(trigger, DatabasePoller) and isinstance(before, DatabasePoller):
        return structs.replace(trigger, every=before.every) == before
    return trigger == before


automation: Decider[Command, State, Event] = Decider(
    "automation", Command, Event, State, Unknown(), decide, evolve, internal=(Fire,), opening=(Register,)
)
