"""Commands to runs of workflows, and the definitions of these: with everything looked up, and told to whoever works on
the run.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, Final

from jsonschema.exceptions import UnknownType
from referencing.exceptions import Unresolvable

from domain import skill, workflow, workflow_definition
from domain.decider import Decider, Refusal
from domain.wakeup import Ask, wakeup
from domain.workflow_definition import Definition, Step, latest_of, left_open
from domain.workflow_faults import faults, schema_faults
from domain.workflow_patterns import expanded
from eventstore.envelope import now
from handlers.parts import Load, Part
from handlers.schema_faults import faults_of
from skills.schedules import schedule_fault
from skills.validators import Validators

SAID = workflow.Approve | workflow.Reject | workflow.Cancel | workflow.Retry | workflow.GiveUp | workflow.ChildEnded
"""To a run that is there."""

_REMEMBERED: Final = 256
_UNUSABLE: Final = (Unresolvable, UnknownType, re.error, RecursionError, ValueError, TypeError, AttributeError)
"""What comes of applying a schema that is none: some are on the record from before schemas were looked at."""
_ALONE: Final = "call"
"""The one step of a run of one skill alone."""


async def started(
    id: str, command: workflow.Start, load: Load, stored: workflow.Value | None = None
) -> list[Part] | Refusal:
    """Of the version that is asked for, or the latest, with its patterns written out. `stored` is the input where it is
    too large for an event."""
    if len(id) > workflow.LONGEST_ID:
        return _too_long()
    known = await load(workflow_definition.workflow_definition, command.definition)
    definition = _chosen(command, known)
    if isinstance(definition, Refusal):
        return definition
    wrong = _wrong_input(definition.input, command.input)
    if wrong is not None:
        return wrong
    steps = _prepared.steps(definition)
    return [
        Part(
            workflow.workflow,
            id,
            workflow.Begin(
                command.definition,
                command.version or known.latest,
                steps,
                stored or workflow.Value(command.input),
                definition.output,
                now() + timedelta(seconds=definition.timeout) if definition.timeout is not None else None,
                command.context,
                command.grants,
                command.budget,
                pinned=await _pinned(steps, load),
            ),
        )
    ]


async def _pinned(steps: Mapping[str, Step], load: Load) -> dict[str, int]:
    """A run stays with what its steps meant when it began."""
    decider = workflow_definition.workflow_definition
    return latest_of({name: await load(decider, name) for name in left_open(steps)})


def _chosen(command: workflow.Start, known: Any) -> Definition | Refusal:
    if isinstance(known, workflow_definition.Unknown):
        return Refusal("workflow_definition_not_found", f"there is no workflow definition {command.definition}")
    if known.withdrawn:
        return Refusal("workflow_definition_withdrawn", f"the workflow definition {command.definition} was withdrawn")
    chosen = known.versions.get(command.version or known.latest)
    if chosen is None:
        return Refusal("version_not_found", f"{command.definition} has no version {command.version}")
    return chosen


async def invoked(
    id: str, command: workflow.Invoke, load: Load, stored: workflow.Value | None = None
) -> list[Part] | Refusal:
    """A run of one step, likewise."""
    if len(id) > workflow.LONGEST_ID:
        return _too_long()
    known = await load(skill.skill, command.skill)
    if isinstance(known, skill.Unknown):
        return Refusal("skill_not_found", f"there is no skill {command.skill}")
    if command.version is not None and command.version not in known.versions:
        return Refusal("version_not_found", f"the skill {command.skill} has no version {command.version}")
    if command.version is not None and known.versions[command.version].retired:
        return Refusal("version_retired", f"version {command.version} of {command.skill} is retired")
    wrong = _wrong_input_of(known, command)
    if wrong is not None:
        return wrong
    step = Step(
        skill=command.skill,
        version=command.version,
        timeout=command.timeout,
        retry=command.retry,
        on_failure="park" if command.park else "fail",
    )
    given = stored or workflow.Value(command.input)
    begin = workflow.Begin("", 0, {_ALONE: step}, given, None, None, command.context, command.grants, command.budget)
    return [Part(workflow.workflow, id, begin)]


def _wrong_input_of(known: skill.Known, command: workflow.Invoke) -> Refusal | None:
    """By the version that is asked for; without one by that which has all the traffic, if one has."""
    shares = known.routable()
    version = command.version or (next(iter(shares)) if len(shares) == 1 else None)
    return _wrong_input(known.versions[version].specification.input, command.input) if version is not None else None


def said(decider: Decider[Any, Any, Any], id: str, command: SAID) -> list[Part]:
    """With a sign to whoever works on the run, in the same write."""
    return [Part(decider, id, command), Part(wakeup, id, Ask())]


def unsound_definition(command: workflow_definition.Publish) -> Refusal | None:
    found = faults(command.definition)
    told = "; ".join(f"{fault.where or '/'}: {fault.what}" for fault in found)
    return Refusal("definition_invalid", told) if found else None


def unsound_skill(command: skill.Register) -> Refusal | None:
    """Every fault: of both schemas, of the schedule and of what it costs."""
    told = "; ".join(f"/specification/{where}: {what}" for where, what in _faults_of_skill(command.specification))
    return Refusal("skill_invalid", told) if told else None


def _faults_of_skill(specification: skill.Specification) -> Iterator[tuple[str, str]]:
    for name, schema in {"input": specification.input, "output": specification.output}.items():
        yield from ((f"{name}{where}", what) for where, what in schema_faults(schema))
    wrong = schedule_fault(specification)
    if wrong is not None:
        yield "schedule", wrong
    currency = specification.cost.currency
    if currency != skill.CURRENCY:
        yield "cost/currency", f"{currency!r}: runs, budgets and figures count in {skill.CURRENCY} alone"


def _too_long() -> Refusal:
    most = workflow.LONGEST_ID
    return Refusal("id_too_long", f"the id of a run has at most {most} characters: others grow from it")


def _wrong_input(schema: dict[str, Any], given: Any) -> Refusal | None:
    """With every fault."""
    if not schema:
        return None
    try:
        errors: Iterator[Any] = _validators.of(schema).iter_errors(given)  # pyright: ignore[reportUnknownMemberType]
        found = [fault for error in errors for fault in faults_of(error)]
    except _UNUSABLE as error:
        reason = str(error).partition("\n")[0][:300]
        return Refusal("input_invalid", f"/input: the schema that it is held to cannot be applied: {reason}")
    told = [f"/input{fault.where.removeprefix('/data')}: {fault.what}" for fault in found]
    return Refusal("input_invalid", "; ".join(sorted(told))) if told else None


class _Prepared:
    """What is made of definitions, once for each. They are told apart by identity: what was published is never changed,
    and is kept at hand as one object for as long as it is hot."""

    def __init__(self) -> None:
        self._steps: OrderedDict[int, tuple[Definition, dict[str, Step]]] = OrderedDict()

    def steps(self, definition: Definition) -> dict[str, Step]:
        known = self._steps.get(id(definition))
        if known is None or known[0] is not definition:
            known = self._steps[id(definition)] = definition, dict(expanded(definition))
            if len(self._steps) > _REMEMBERED:
                self._steps.popitem(last=False)
        return known[1]


_prepared = _Prepared()
_validators = Validators(_REMEMBERED)
