"""Read model: definitions of workflows, and every version of each."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Literal

from msgspec import Struct, structs

from domain import workflow_definition
from domain.workflow_definition import Definition, Step
from eventstore.envelope import Recorded
from projections.projection import Journal, Projection, Table, stream_id


class WorkflowDefinition(Struct, frozen=True, kw_only=True):
    """`latest` is the number of the version that new runs begin with, and `definition` what it says; `skills` and
    `workflows` are those that it names."""

    id: str
    status: Literal["published", "withdrawn"] = "published"
    description: str
    latest: int
    definition: Definition
    skills: list[str]
    workflows: list[str]
    reason: str | None = None
    created_at: datetime
    updated_at: datetime
    version: int
    position: int


class DefinitionVersion(Struct, frozen=True):
    id: str
    definition_id: str
    number: int
    definition: Definition
    published_by: str
    published_at: datetime
    position: int


def fold(row: WorkflowDefinition | None, event: Recorded, data: workflow_definition.Event) -> WorkflowDefinition | None:
    match data:
        case workflow_definition.Published(number, definition):
            skills, workflows = named(definition)
            return WorkflowDefinition(
                id=event.stream.id,
                description=definition.description,
                latest=number,
                definition=definition,
                skills=skills,
                workflows=workflows,
                created_at=row.created_at if row else event.time,
                updated_at=event.time,
                version=event.version,
                position=event.position,
            )
        case workflow_definition.Withdrawn(reason) if row is not None:
            return structs.replace(
                row,
                status="withdrawn",
                reason=reason or None,
                updated_at=event.time,
                version=event.version,
                position=event.position,
            )
        case workflow_definition.Withdrawn():
            return None


def named(definition: Definition) -> tuple[list[str], list[str]]:
    """(skills, workflows) that the steps ask for, each once, in order of their names."""
    steps = definition.steps.values()
    skills = {name for step in steps for name in _skills(step)}
    return sorted(skills), sorted({step.workflow for step in steps if step.workflow is not None})


def _skills(step: Step) -> Iterator[str]:
    if step.skill is not None:
        yield step.skill
    if step.compensate is not None:
        yield step.compensate.skill
    if step.adaptive is not None:
        yield from (candidate.skill for candidate in step.adaptive.candidates)
    yield from step.team
    for pattern in (step.swarm, step.hybrid):
        yield from pattern.team if pattern else ()
    calls = [*(step.chain.links if step.chain else ())]
    if (swarm := step.swarm) is not None:
        calls += [swarm.decompose, swarm.work, swarm.aggregate, *([swarm.coordinate] if swarm.coordinate else [])]
    if (hybrid := step.hybrid) is not None:
        calls += [hybrid.plan, hybrid.supervise, hybrid.work, hybrid.synthesise, hybrid.assure]
    for call in calls:
        yield call.skill
        if call.compensate is not None:
            yield call.compensate.skill


def tell(event: Recorded, data: Any) -> Iterator[DefinitionVersion]:
    if isinstance(data, workflow_definition.Published):
        id, number = event.stream.id, data.version
        yield DefinitionVersion(
            f"{id}/{number}", id, number, data.definition, event.envelope.actor, event.time, event.position
        )


workflow_definitions = Projection(
    "workflow_definitions",
    frozenset({"workflow_definition"}),
    (
        Table(
            "workflow_definitions",
            WorkflowDefinition,
            stream_id,
            fold,
            filters=("status", "created_at"),
            listed=(("skill", "skills"), ("workflow", "workflows")),
            full_text=("id", "description"),
        ),
        Journal("definition_versions", DefinitionVersion, tell, filters=("definition_id", "number", "published_at")),
    ),
)
