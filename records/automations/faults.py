"""What is wrong with a rule that only what carries it out can tell."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from domain.automation import (
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
from domain.event_trigger import DUMB, FOREIGN, EventTrigger, is_like
from domain.expressions import Path, compiled, expressions, faults
from domain.inbound import Received
from eventstore.catalogue import members, tag_of

_PARAMETER: Final = re.compile(r"\$([0-9]+)")
_CRON_FIELDS: Final = 5
_CATEGORIES: Final = frozenset(decider.category for decider in DECIDERS) - DUMB
_RECEIVED: Final = tag_of(Received)
_TYPES: Final = tuple(
    tag for union in EVENTS for tag in map(tag_of, members(union)) if tag.partition(".")[0] not in DUMB
)


def automation_faults(command: Register) -> list[str]:
    """All of them; none when the rule can be carried out."""
    return [*_trigger_faults(command), *_action_faults(command)]


def _trigger_faults(command: Register) -> list[str]:
    match command.trigger:
        case Scheduler() as trigger:
            found = [*_zone_faults(trigger), *_cron_faults(trigger)]
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


def _zone_faults(trigger: Scheduler) -> list[str]:
    try:
        ZoneInfo(trigger.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return [f"time_zone: there is no {trigger.time_zone!r}"]
    return []


def _cron_faults(trigger: Scheduler) -> list[str]:
    from cronsim import CronSim, CronSimError

    if len(trigger.cron.split()) != _CRON_FIELDS:
        return [f"cron: {trigger.cron!r} must have {_CRON_FIELDS} fields"]
    try:
        next(CronSim(trigger.cron, datetime.now(UTC)))
    except CronSimError as error:
        return [f"cron: {trigger.cron!r}: {error}"]
    except StopIteration:
        return [f"cron: {trigger.cron!r} never comes true"]
    return []


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
