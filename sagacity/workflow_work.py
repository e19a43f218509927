"""The engine of workflows, built from the core."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from domain import skill
from eventstore.blobs import Blobs
from eventstore.catalogue import tag_of
from eventstore.envelope import StreamId, new_id
from handlers.command import Caller, Directive
from sagacity.wiring import Core
from sagas.workflows.engine import ACK_WAIT, WorkflowEngine
from sagas.workflows.known import Known
from sagas.workflows.local import Local
from sagas.workflows.means import ACTOR, WORKERS, Means, Origin, Tell
from sagas.workflows.queue import Queue
from sagas.workflows.values import Values
from skills.executing import Executor
from skills.offering import Offering
from skills.skill import Places, Skill


def engine_name() -> str:
    """As a worker."""
    return f"{WORKERS}{new_id()}"


def workflow_engine(
    core: Core,
    skills: Iterable[Skill[Any, Any]] = (),
    *,
    ack_wait: float = ACK_WAIT,
    places: Places | None = None,
    offering: Offering | None = None,
) -> WorkflowEngine:
    """`skills` are done in this process, within `places` (None: no bounds), all others by workers. `offering`: what is
    told of these skills, counts them."""
    blobs, worker = Blobs(core.connection), offering.worker if offering else engine_name()
    executor = Executor(blobs, worker=worker, places=places)
    local = Local(executor.run, places=places)
    means = Means(
        core.store,
        core.aggregates,
        Values(blobs),
        Known(core.store, core.aggregates),
        Queue(core.connection),
        teller(core),
        offering.counted(local) if offering else local,
        worker,
        {(each.name, each.specification.version): each for each in skills},
    )
    return WorkflowEngine(means, ack_wait=ack_wait, close=executor.close)


async def register_skills(core: Core, skills: Iterable[Skill[Any, Any]]) -> None:
    """Those that are not known as they are now; what a person has retired stays so. Raises LogUnavailable."""
    for each in skills:
        known = (await core.aggregates.load(skill.skill, each.name, latest=True)).state
        offered = known.versions.get(each.specification.version) if isinstance(known, skill.Known) else None
        if offered is None or (not offered.retired and offered.specification != each.specification):
            register = skill.Register(each.specification)
            directive = Directive(id=new_id(), category=skill.skill.category, stream_id=each.name, command=register)
            await core.handler.direct([directive], Caller(actor=ACTOR))


def teller(core: Core) -> Tell:
    async def tell(
        category: str, id: str, command: msgspec.Struct, command_id: str, origin: Origin, as_origin: bool = False
    ) -> str | None:
        caller = Caller(
            actor=origin.actor if as_origin else ACTOR,
            correlation_id=origin.correlation_id,
            tenant=origin.tenant,
            traceparent=origin.traceparent,
        )
        directive = Directive(id=command_id, category=category, stream_id=id, command=command)
        (outcome,) = await core.handler.direct([directive], caller)
        given = tag_of(command), StreamId(category, id)
        if (outcome.command, outcome.stream) != given:
            return f"command_id_taken: {command_id} was {outcome.command} to {outcome.stream}"
        return f"{outcome.refusal}: {outcome.reason}" if outcome.outcome == "refused" else None

    return tell
