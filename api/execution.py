"""`POST /execute`: say what is wanted, by name, capability or in words; it is started, waited for and answered."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

import jsonschema
import msgspec
from litestar import Request, Response, post
from litestar.handlers import HTTPRouteHandler
from referencing.jsonschema import EMPTY_REGISTRY

from api.bodies import MAX_BODY, check_kind, check_text, faults_of_shape, where_malformed
from api.commands import CommandAnswer, Reply, headers_of, reply_to
from api.intents import NEAR, ranked
from api.links import path_of
from api.problems import BodyRefused, Problem, ProblemFault
from api.run_ends import RunEnd, end_of
from api.services import Services
from domain.decider import ID
from domain.skill import Capability, JsonSchema, Name
from eventstore.envelope import new_id
from handlers.command import Fault, InvalidCommand
from projections.offers import Offer, offers
from projections.skill_figures import NO_EXPERIENCE, experience_of
from projections.skills import Skill

LONGEST_WAIT: Final = 60.0
"""Seconds."""
_NAMED: Final = 10
"""Candidates in an answer."""
_FAULTS: Final = 3
"""Of an input, that are named for one schema."""


class Execute(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is wanted: a `skill` or a `workflow` by name (and `version`), else a `capability`, else a `goal` in words;
    `goal` chooses among those that have the `capability`, too. `id` is that of the run. Answered after `wait` seconds
    at the latest. `park`: what fails for good waits for a person, instead of being answered as failed."""

    goal: Annotated[str, msgspec.Meta(min_length=1, max_length=4_000)] | None = None
    capability: Capability | None = None
    skill: Name | None = None
    workflow: Name | None = None
    version: Annotated[int, msgspec.Meta(ge=1)] | Annotated[str, msgspec.Meta(max_length=32)] | None = None
    input: Any = None
    context: dict[str, Any] = {}
    budget: Annotated[float, msgspec.Meta(ge=0)] | None = None
    id: Annotated[str, msgspec.Meta(pattern=ID, max_length=80)] | None = None
    wait: Annotated[float, msgspec.Meta(ge=0, le=LONGEST_WAIT)] = 20.0
    park: bool = False


class Considered(msgspec.Struct, frozen=True):
    """`score`: of a goal, how near its words are (0 to 1); of a capability, the chance that the next call succeeds."""

    kind: Literal["skill", "workflow"]
    id: str
    score: float


class Choice(msgspec.Struct, frozen=True):
    """What was chosen, and `by` what; with the best `candidates`, where there was a choice."""

    kind: Literal["skill", "workflow"]
    id: str
    by: Literal["name", "capability", "goal"]
    score: float | None = None
    candidates: list[Considered] = []


class ExecuteAnswer(msgspec.Struct, frozen=True):
    """`status` running: it goes on. `version` is that of the definition, or of the skill that was asked. `output` is
    None where it is large, too: `_links` say where it is. `seconds` from start to end."""

    run_id: str
    status: str
    chosen: Choice
    version: str | int | None
    output: Any
    output_size: int
    reason: str | None
    cost: float
    seconds: float | None
    calls: int
    position: int
    duplicate: bool
    links: dict[str, str] = msgspec.field(name="_links")


_shape = jsonschema.Draft202012Validator(msgspec.json.schema(Execute))


def execute_handler(services: Services) -> HTTPRouteHandler:
    @post(
        "/execute", summary="Have something done", status_code=200, tags=["workflows"], request_max_body_size=MAX_BODY
    )
    async def execute(request: Request[Any, Any, Any]) -> Response[Any]:
        """200 with what came of it; 202 where it goes on; 409 where nothing is near what is wanted, or the command was
        refused. The same `Idempotency-Key` (or `id`) is the same run."""
        asked = read_execute(request.headers.get("content-type"), await request.body())
        key = request.headers.get("idempotency-key")
        chosen = await _chosen(services, asked)
        reply = await _started(services, request, asked, chosen, key)
        if not isinstance(reply.content, CommandAnswer):
            return _problem(services, reply)
        run = reply.content.stream.id
        end = await end_of(services, run, asked.wait)
        headers = {"X-Position": str(end.position)} | ({"Location": path_of("workflow", run)} if not end.over else {})
        answer = _answer(run, chosen, end, reply.content.duplicate)
        return Response(answer, status_code=200 if end.over else 202, headers=headers)

    return execute


def read_execute(kind: str | None, raw: bytes) -> Execute:
    """Raises BodyRefused, or InvalidCommand with every fault."""
    check_kind(kind)
    check_text(raw)
    try:
        document = msgspec.json.decode(raw or b"{}")
    except msgspec.DecodeError as error:
        raise BodyRefused("malformed", 400, where_malformed(raw, error)) from error
    found = list(faults_of_shape(_shape, document))
    if isinstance(document, dict):
        found += _contradictions(document.keys(), document.get("version"))  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]
    if found:
        raise InvalidCommand(sorted(found, key=lambda fault: fault.where))
    try:
        return msgspec.convert(document, Execute)
    except msgspec.ValidationError as error:
        raise InvalidCommand([Fault("", str(error))]) from error


def _contradictions(given: Any, version: Any) -> list[Fault]:
    named = [name for name in ("skill", "workflow") if name in given]
    faults: list[Fault] = []
    if not named and "capability" not in given and "goal" not in given:
        faults.append(Fault("", "say what is wanted: a skill, a workflow, a capability or a goal"))
    if len(named) == 2:
        faults.append(Fault("", "a skill or a workflow, not both"))
    if named and "capability" in given:
        faults.append(Fault("/capability", "goes without a skill or a workflow"))
    if "version" in given and not named:
        faults.append(Fault("/version", "goes with a skill or a workflow"))
    if "version" in given and named == ["workflow"] and not isinstance(version, int | None):
        faults.append(Fault("/version", "of a workflow is a number"))
    return faults


async def _chosen(services: Services, asked: Execute) -> Choice:
    """Raises BodyRefused where nothing is near."""
    if asked.skill is not None:
        return Choice("skill", asked.skill, "name")
    if asked.workflow is not None:
        return Choice("workflow", asked.workflow, "name")
    found = await offers(services.pool, asked.capability)
    if not found:
        what = f"with the capability {asked.capability!r}" if asked.capability else "at all"
        raise BodyRefused("nothing-near", 409, f"nothing is offered {what}")
    candidates = await (_by_goal(asked.goal, found) if asked.goal else _by_experience(services, found))
    if asked.capability is not None:
        candidates = await _taking(services, candidates, asked)
    best = candidates[0]
    return Choice(best.kind, best.id, "goal" if asked.goal else "capability", best.score, candidates[:_NAMED])


async def _taking(services: Services, candidates: Sequence[Considered], asked: Execute) -> list[Considered]:
    """The best one whose schema the input fits, and those after it. Raises BodyRefused where there is none."""
    refusals: list[str] = []
    for place, each in enumerate(candidates):
        misfit = await _misfit(services, each.id, asked.input)
        if misfit is None:
            return [*candidates[place:]]
        refusals.append(f"{each.id}: {misfit}")
    named = "; ".join(refusals[:_NAMED])
    raise BodyRefused(
        "nothing-near", 409, f"nothing with the capability {asked.capability!r} takes this input: {named}"
    )


async def _misfit(services: Services, skill: str, given: Any) -> str | None:
    """Why the input is not what it takes, in the versions that it may be routed to."""
    row: Skill | None = await services.models.row("skills", skill)
    if row is None:
        return "it is not there any more"
    schemas = [each.specification.input for each in row.versions.values() if each.share and not each.retired]
    faults = await asyncio.to_thread(lambda: [fault for schema in schemas for fault in _faults(schema, given)])
    return ", ".join(dict.fromkeys(faults)) or None


def _faults(schema: JsonSchema, given: Any) -> list[str]:
    validator = jsonschema.Draft202012Validator(schema, registry=EMPTY_REGISTRY)  # nothing is fetched for it
    found = itertools.islice(faults_of_shape(validator, given), _FAULTS)
    return [f"{fault.where} {fault.what}".strip() for fault in found]


async def _by_goal(goal: str, found: Sequence[Offer]) -> list[Considered]:
    """Those that are near, the nearest first. Raises BodyRefused where none is."""
    meant = [Considered(offer.kind, offer.id, score) for offer, score in await asyncio.to_thread(ranked, goal, found)]
    if meant[0].score < NEAR:
        nearest = ", ".join(f"{each.id} ({each.score:g})" for each in meant[:3])
        raise BodyRefused("nothing-near", 409, f"nothing that is offered is near the goal; nearest: {nearest}")
    return meant


async def _by_experience(services: Services, found: Sequence[Offer]) -> list[Considered]:
    """The one that will most probably succeed; of the same chance the quicker one, then by name."""
    known = await experience_of(services.pool, [offer.id for offer in found])
    of = {offer.id: known.get(offer.id, NO_EXPERIENCE) for offer in found}
    best_first = sorted(of, key=lambda id: (-of[id].trust, of[id].median or 0.0, id))
    return [Considered("skill", id, round(of[id].trust, 4)) for id in best_first]


async def _started(
    services: Services, request: Request[Any, Any, Any], asked: Execute, chosen: Choice, key: str | None
) -> Reply:
    common = {"input": asked.input, "context": asked.context, "budget": asked.budget}
    if chosen.kind == "skill":
        version = None if asked.version is None else str(asked.version)
        data = {**common, "skill": chosen.id, "version": version, "park": asked.park}
    else:
        data = {**common, "definition": chosen.id, "version": asked.version}
    run = asked.id or (f"run-{hashlib.sha256(key.encode()).hexdigest()[:32]}" if key else f"run-{new_id()}")
    body = {
        "type": "workflow.invoke" if chosen.kind == "skill" else "workflow.start",
        "stream": {"category": "workflow", "id": run},
        "data": data,
    }
    headers = dict(request.headers.items())
    return await reply_to(services.handler, msgspec.json.encode(body), headers, instance=request.url.path)


def _problem(services: Services, reply: Reply) -> Response[Any]:
    assert isinstance(reply.content, Problem)
    own = [ProblemFault(fault.where.removeprefix("/data"), fault.what) for fault in reply.content.faults]
    headers = headers_of(services, reply)
    kind = headers.pop("Content-Type")
    problem = msgspec.structs.replace(reply.content, faults=own)
    return Response(problem, status_code=reply.status, media_type=kind, headers=headers)


def _answer(run: str, chosen: Choice, end: RunEnd, duplicate: bool) -> ExecuteAnswer:
    path = path_of("workflow", run)
    links = {name: f"{path}/{name}" for name in ("events", "graph", "input")}
    links |= {"output": f"{path}/output"} if end.status == "completed" else {}
    of = {"skill": "skill", "workflow": "workflow_definition"}[chosen.kind]
    return ExecuteAnswer(
        run,
        end.status,
        chosen,
        end.definition_version or end.skill_version,
        end.output.inline,
        end.output.size,
        end.reason,
        end.cost,
        end.seconds,
        end.calls,
        end.position,
        duplicate,
        {"self": path, chosen.kind: path_of(of, chosen.id), **links},
    )
