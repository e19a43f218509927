"""What is wrong with a rule that only what carries it out can tell."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from domain import workflow
from domain.automation import (
    Action,
    DatabasePoller,
    FileWatcher,
    GiveCommand,
    InvokeAgent,
    InvokeSkill,
    ProcessDocument,
    Register,
    Scheduler,
    SendAlert,
    StartWorkflow,
    Trigger,
)
from domain.contexts import DECIDERS, EVENTS
from domain.event_trigger import DUMB, FOREIGN, OWN, EventTrigger, Sighting, is_like, is_meant
from domain.expressions import Path, compiled, expressions, faults
from domain.inbound import Received
from eventstore.catalogue import members, tag_of

_PARAMETER: Final = re.compile(r"\$([0-9]+)")
_CRON_FIELDS: Final = 5
_LONGEST_INTERVAL: Final = 365 * 86_400
_CATEGORIES: Final = frozenset(decider.category for decider in DECIDERS) - DUMB
_RECEIVED: Final = tag_of(Received)
_STARTING: Final = frozenset(map(tag_of, (workflow.Start, workflow.Invoke)))
_TYPES: Final = tuple(
    tag for union in EVENTS for tag in map(tag_of, members(union)) if tag.partition(".")[0] not in DUMB
)


def automation_faults(command: Register) -> list[str]:
    """All of them; none when the rule can be carried out."""
    return [*_trigger_faults(command), *_action_faults(command), *_loop_faults(command)]


def _trigger_faults(command: Register) -> list[str]:
    match command.trigger:
        case Scheduler() as trigger:
            found = [*_zone_faults(trigger), *_moment_faults(trigger)]
            if any(isinstance(action, ProcessDocument) for action in command.actions):
                found.append("process_document: a moment is no document")
            return found
        case DatabasePoller() as trigger:
            given = set(_PARAMETER.findall(trigger.query))
            return [] if given == {"1"} else ["query: must have the one parameter $1, the last cursor that was seen"]
        case FileWatcher() as trigger:
            return ["pattern: is of names, not of paths"] if "/" in trigger.pattern else []
        case EventTrigger() as trigger:
            return [*_type_faults(trigger), *_state_faults(trigger)]


def _loop_faults(command: Register) -> Iterator[str]:
    """What a run does is told by events of one kind, whatever it is a run of: only a condition can tell them apart."""
    trigger, starting = command.trigger, [tag_of(action) for action in command.actions if _starts_run(action)]
    if not isinstance(trigger, EventTrigger) or trigger.where or not starting:
        return
    own = [tag for tag in _TYPES if is_meant(trigger, Sighting(tag, OWN, tag.partition(".")[0]))]
    of_runs = sorted(tag for tag in own if tag.partition(".")[0] == workflow.workflow.category)
    if of_runs:
        yield (
            f"{starting[0]}: the run that it starts would set the rule off again, as {of_runs[0]} of any run does: "
            "name other types, or say in where which runs are meant"
        )


def _starts_run(action: Action) -> bool:
    match action:
        case StartWorkflow() | InvokeSkill() | InvokeAgent():
            return True
        case GiveCommand(command):
            return command in _STARTING
        case ProcessDocument() | SendAlert():
            return False


def _zone_faults(trigger: Scheduler) -> Iterator[str]:
    try:
        ZoneInfo(trigger.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        yield f"time_zone: there is no {trigger.time_zone!r}"
    if trigger.cron is None and trigger.time_zone != "UTC":
        yield "time_zone: only cron goes by it"


def _moment_faults(trigger: Scheduler) -> Iterator[str]:
    values = {"cron": trigger.cron, "at": trigger.at, "every": trigger.every}
    given = [name for name, value in values.items() if value is not None]
    if len(given) != 1:
        yield f"trigger: it must have one of cron, at and every; it has {' and '.join(given) or 'none'}"
    if trigger.cron is not None:
        yield from _cron_faults(trigger.cron)
    if trigger.at is not None and trigger.at <= datetime.now(UTC):
        yield f"at: {trigger.at.isoformat()} is in the past"
    if (trigger.seconds or 0) > _LONGEST_INTERVAL:
        yield f"every: {trigger.every} is longer than a year of 365 days"


def _cron_faults(cron: str) -> Iterator[str]:
    from cronsim import CronSim, CronSimError

    if len(cron.split()) != _CRON_FIELDS:
        yield f"cron: {cron!r} must have {_CRON_FIELDS} fields"
        return
    try:
        next(CronSim(cron, datetime.now(UTC)))
    except CronSimError as error:
        yield f"cron: {cron!r}: {error}"
    except StopIteration:
        yield f"cron: {cron!r} never comes true"


def _type_faults(trigger: EventTrigger) -> Iterator[str]:
    """A pattern that nothing can ever be like is a slip of the pen."""
    if trigger.category in DUMB:
        yield f"category: what happens to each {trigger.category} sets nothing off"
    elif trigger.category is not None and trigger.category not in _CATEGORIES:
        yield f"category: there is no {trigger.category!r}; known: {', '.join(sorted(_CATEGORIES))}"
    own = [tag for tag in _TYPES if tag.partition(".")[0] == trigger.category]
    for pattern in trigger.types:
        if pattern == _RECEIVED:
            yield f"types: an event of another system goes by its own type, not by {_RECEIVED}"
        elif pattern.partition(".")[0] in DUMB:
            yield f"types: {pattern} sets nothing off"
        elif own and trigger.category != FOREIGN and not any(is_like(tag, pattern) for tag in own):
            yield f"types: no event of the category {trigger.category} is like {pattern}"


def _state_faults(trigger: EventTrigger) -> Iterator[str]:
    for name, of in trigger.state.items():
        if of.category not in _CATEGORIES:
            yield f"state {name}: there is no category {of.category!r}; known: {', '.join(sorted(_CATEGORIES))}"
        yield from _template_faults(f"state {name}", of.id, ("event",))
    if trigger.where:
        wrong = faults(trigger.where)
        yield from (f"where: {each}" for each in wrong or _unknown(compiled(trigger.where).reads, _names(trigger)))


def _action_faults(command: Register) -> Iterator[str]:
    trigger = command.trigger
    for action in command.actions:
        kind, templates = tag_of(action), _templates(action, of_event=isinstance(trigger, EventTrigger))
        yield from _template_faults(kind, templates, _names(trigger))


def _templates(action: Any, *, of_event: bool) -> Any:
    """What has expressions in it. Those of alerts and commands only where an event is what occurs."""
    match action:
        case StartWorkflow(input=input) | InvokeSkill(input=input):
            return input
        case InvokeAgent(prompt_template=prompt, input=input):
            return [prompt, input]
        case SendAlert(text=text) if of_event:
            return text
        case GiveCommand(stream_id=stream_id, data=data) if of_event:
            return [stream_id, data]
        case _:
            return None


def _names(trigger: Trigger) -> tuple[str, ...]:
    """What expressions may be about. Rows have columns that are not known before."""
    match trigger:
        case EventTrigger(state=state):
            return ("event", "state") if state else ("event",)
        case FileWatcher():
            return ("file", "name", "time")
        case Scheduler():
            return ("time",)
        case DatabasePoller():
            return ()


def _template_faults(where: str, template: Any, names: tuple[str, ...]) -> Iterator[str]:
    for _, found in expressions(template):
        if isinstance(found, str):
            yield f"{where}: {found}"
        else:
            wrong = faults(found.text) or _unknown(found.reads, names)
            yield from (f"{where}: ${{{found.text}}}: {each}" for each in wrong)


def _unknown(reads: tuple[Path, ...], names: tuple[str, ...]) -> list[str]:
    missing = sorted({path[0] for path in reads} - set(names)) if names else []
    return [f"there is no {name!r} here; known: {', '.join(names)}" for name in missing]
