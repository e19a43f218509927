"""A rule as data: what sets it off, and what is done then.

    {"trigger": {"type": "file_watcher", "path": "/in", "pattern": "*.pdf"},
     "actions": [{"type": "process_document", "source": "scans"}]}

Every occurrence has an id made of what occurred (a file's content, a row's key, a planned moment, an event): it is
dealt with once, however often it is seen and whatever crashes meanwhile.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, structs

from domain.decider import ID, Decider, Refusal
from domain.event_trigger import EventTrigger
from domain.skill import Name, VersionName

Id = Annotated[str, Meta(pattern=ID)]
Variable = Annotated[str, Meta(pattern=r"^[A-Z][A-Z0-9_]{0,99}$")]
"""The name of an environment variable: secrets are never on the record."""

Seconds = Annotated[float, Meta(ge=0.1, le=86_400)]
Text = Annotated[str, Meta(min_length=1, max_length=4_000)]
Interval = Annotated[int, Meta(ge=1, le=31_536_000)] | Annotated[str, Meta(pattern=r"^[1-9][0-9]{0,7}[smhd]$")]
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_LATEST = 50
SETS_ITSELF_OFF = (
    "what this rule does sets it off again: events that came of it are left alone; narrow its types, source or where"
)


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
    """At moments, by one of three: those of a `cron` expression with five fields, by the clock of `time_zone`; once,
    `at` a moment; or `every` so many seconds (a text such as `15m` has s, m, h or d) since the rule came into force."""

    cron: Annotated[str, Meta(min_length=9, max_length=100)] | None = None
    time_zone: Annotated[str, Meta(max_length=60)] = "UTC"
    at: Annotated[datetime, Meta(tz=True)] | None = None
    every: Interval | None = None

    @property
    def seconds(self) -> int | None:
        """Of its interval."""
        return self.every if not isinstance(self.every, str) else int(self.every[:-1]) * _UNITS[self.every[-1]]


Trigger = FileWatcher | DatabasePoller | Scheduler | EventTrigger


class ProcessDocument(Struct, frozen=True, forbid_unknown_fields=True, tag="process_document"):
    """What occurred becomes a record of `source`: a file as its attachment, a row or the data of an event as its
    fields."""

    source: Id


class SendAlert(Struct, frozen=True, forbid_unknown_fields=True, tag="send_alert"):
    """Through Apprise. In `text`, `{file}`, `{name}`, `{time}` and the columns of a row stand for what occurred; where
    an event did, `${...}` is an expression over it."""

    apprise: Variable
    text: Text


class GiveCommand(Struct, frozen=True, forbid_unknown_fields=True, tag="give_command"):
    """Any command of the platform, as the automation. In `stream_id` and the texts of `data` likewise; a text that is
    nothing but the name of a column becomes its value, be it a number."""

    command: Annotated[str, Meta(pattern=r"^[a-z_]+\.[a-z_]+$")]
    stream_id: Annotated[str, Meta(max_length=128)] | None = None
    data: dict[str, Any] = {}


class StartWorkflow(Struct, frozen=True, forbid_unknown_fields=True, tag="start_workflow"):
    """A run of a definition, of `version` or the latest. `input` is a template: `${...}` is an expression over what
    occurred, and a text that is nothing but one becomes its value."""

    definition: Id
    version: Annotated[int, Meta(ge=1)] | None = None
    input: Any = None


class InvokeSkill(Struct, frozen=True, forbid_unknown_fields=True, tag="invoke_skill"):
    """One skill alone, with a template likewise."""

    skill: Name
    version: VersionName | None = None
    input: Any = None


class InvokeAgent(Struct, frozen=True, forbid_unknown_fields=True, tag="invoke_agent"):
    """The skill of that name, or else the workflow. Its input is `input`, a template likewise, with `prompt`: the
    `prompt_template`, in which `{file}` and the like stand for what occurred."""

    agent: Annotated[str, Meta(pattern=r"^@?[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
    prompt_template: Text | None = None
    input: dict[str, Any] = {}


Action = ProcessDocument | SendAlert | GiveCommand | StartWorkflow | InvokeSkill | InvokeAgent
ActionKind = Literal["process_document", "send_alert", "give_command", "start_workflow", "invoke_skill", "invoke_agent"]


class Register(Struct, frozen=True, forbid_unknown_fields=True, tag="automation.register"):
    """Registered again, the rule is replaced, and stays paused if it was; one that was removed begins anew. Actions are
    carried out one after the other, or all at once where they are `parallel`."""

    trigger: Trigger
    actions: Annotated[tuple[Action, ...], Meta(min_length=1, max_length=20)]
    name: Annotated[str, Meta(max_length=120)] = ""
    parallel: bool = False


class Pause(Struct, frozen=True, forbid_unknown_fields=True, tag="automation.pause"):
    reason: Annotated[str, Meta(max_length=1_000)] = ""


class Resume(Struct, frozen=True, forbid_unknown_fields=True, tag="automation.resume"):
    """What occurred meanwhile is dealt with now, but for moments that have passed."""


class Remove(Struct, frozen=True, forbid_unknown_fields=True, tag="automation.remove"):
    pass


class Carried(Struct, frozen=True):
    """What became of one action: `reference` is the record, command or run that came of it."""

    action: ActionKind
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


class Reach(Struct, frozen=True, forbid_unknown_fields=True, tag="automation.reach"):
    """Nothing up to `cursor`, a position in the log, is left to be dealt with, though nothing may have occurred."""

    cursor: str
    triggers: int = 1


class Stumble(Struct, frozen=True, forbid_unknown_fields=True, tag="automation.stumble"):
    """The rule cannot be carried out now, and why."""

    reason: str


class Recover(Struct, frozen=True, forbid_unknown_fields=True, tag="automation.recover"):
    """It can be again; one that sets itself off is the same until it is changed, paused or removed."""


# Event tags are storage: never rename one that has been written.
class Registered(Struct, frozen=True, tag="automation.registered"):
    name: str
    trigger: Trigger
    actions: tuple[Action, ...]
    parallel: bool = False


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


class Reached(Struct, frozen=True, tag="automation.reached"):
    cursor: str


class Stumbled(Struct, frozen=True, tag="automation.stumbled"):
    reason: str


class Recovered(Struct, frozen=True, tag="automation.recovered"):
    pass


class Unknown(Struct, frozen=True, tag="unknown"):
    pass


class Known(Struct, frozen=True, tag="known"):
    """`latest` are ids of the last occurrences that were dealt with; each of `triggers` had a cursor of its own.
    `trouble` is why it cannot be carried out."""

    name: str
    trigger: Trigger
    actions: tuple[Action, ...]
    paused: bool = False
    removed: bool = False
    triggers: int = 1
    cursor: str | None = None
    latest: tuple[str, ...] = ()
    parallel: bool = False
    trouble: str = ""

    @property
    def can_recover(self) -> bool:
        return self.trouble not in ("", SETS_ITSELF_OFF)

    @property
    def active(self) -> bool:
        return not self.paused and not self.removed


Command = Register | Pause | Resume | Remove | Fire | Reach | Stumble | Recover
Event = Registered | Paused | Resumed | Removed | Fired | Reached | Stumbled | Recovered
State = Unknown | Known


def decide(command: Command, state: State) -> tuple[Event, ...] | Refusal:
    match command, state:
        case Register(trigger, actions, name, parallel), _:
            new = Registered(name, trigger, actions, parallel)
            return () if isinstance(state, Known) and not state.removed and _as_registered(state) == new else (new,)
        case _, Unknown():
            return Refusal("automation_not_found", "there is no such automation")
        case Fire(occurrence, what, carried, cursor, triggers), Known():
            still = cursor if _is_further(cursor, triggers, state) else None
            return () if occurrence in state.latest else (Fired(occurrence, what, carried, still),)
        case Reach(cursor, triggers), Known():
            return (Reached(cursor),) if _is_further(cursor, triggers, state) and state.active else ()
        case Stumble(reason), Known():
            return (Stumbled(reason),) if state.active and reason != state.trouble else ()
        case Recover(), Known():
            return (Recovered(),) if state.can_recover else ()
        case _, Known(removed=True):
            return Refusal("automation_removed", "the automation was removed")
        case Pause(reason), Known():
            return () if state.paused else (Paused(reason),)
        case Resume(), Known():
            return (Resumed(),) if state.paused else ()
        case Remove(), Known():
            return (Removed(),)


def _as_registered(state: Known) -> Registered:
    return Registered(state.name, state.trigger, state.actions, state.parallel)


def _is_further(cursor: str | None, triggers: int, state: Known) -> bool:
    """Positions in the log only grow; another process may be behind."""
    if cursor is None or triggers != state.triggers:
        return False
    behind = isinstance(state.trigger, EventTrigger) and state.cursor is not None and int(cursor) <= int(state.cursor)
    return not behind


def evolve(state: State, event: Event) -> State:
    match event, state:
        case Registered(), Known():
            return _replaced(state, event)
        case Registered(name, trigger, actions, parallel), Unknown():
            return Known(name, trigger, actions, parallel=parallel)
        case _, Unknown():
            return state
        case Paused(), Known():
            return structs.replace(state, paused=True, trouble="")
        case Resumed(), Known():
            return structs.replace(state, paused=False)
        case Removed(), Known():
            return structs.replace(state, removed=True, trouble="")
        case Fired(occurrence, _, _, cursor), Known():
            latest = (*state.latest, occurrence)[-_LATEST:]
            return structs.replace(state, latest=latest, cursor=cursor or state.cursor)
        case Reached(cursor), Known():
            return structs.replace(state, cursor=cursor)
        case Stumbled(reason), Known():
            return structs.replace(state, trouble=reason)
        case Recovered(), Known():
            return structs.replace(state, trouble="")


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
        parallel=event.parallel,
    )


def _looks_alike(trigger: Trigger, before: Trigger) -> bool:
    """Whether what comes after a cursor of the one is what comes after it for the other."""
    if isinstance(trigger, DatabasePoller) and isinstance(before, DatabasePoller):
        return structs.replace(trigger, every=before.every) == before
    return trigger == before


automation: Decider[Command, State, Event] = Decider(
    "automation",
    Command,
    Event,
    State,
    Unknown(),
    decide,
    evolve,
    internal=(Fire, Reach, Stumble, Recover),
    opening=(Register,),
)
