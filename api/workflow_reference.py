"""Skills, workflows, calls and executions in the API reference."""

from __future__ import annotations

from typing import Any, Final

from api import workflow_examples as examples
from api.execution import Execute, ExecuteAnswer
from api.invocations import PATH as INVOCATIONS
from api.invocations import RetryOutcome, RetryParked
from api.links import API
from api.problems import CONTENT_TYPE, STANDARD
from api.schemas import LINKS, Document, filters_of, list_of, map_of, page_example, page_of, ref, structure
from api.skill_workers import Worker
from api.workflow_graph import Graph
from api.workflows import MERMAID
from projections.skill_figures import SkillFigures
from projections.workflow_calls import invocations

STRUCTS: Final = (Execute, ExecuteAnswer, RetryParked, RetryOutcome, Worker, Graph, SkillFigures)

_JSON: Final = "application/json"
_ANY: Final[Document] = {"description": "Whatever it is"}


def describe_workflows(paths: Document) -> None:
    for name in ("workflows", "workflow_definitions"):
        graph = paths[f"{API}/{name}/{{id}}/graph"]["get"]
        _answer(graph, ref("Graph"), examples.GRAPH)
        flowchart = {"schema": {"type": "string"}, "example": examples.FLOWCHART}
        graph["responses"]["200"]["content"][MERMAID] = flowchart
    for name, value in (("input", {"path": "/srv/shop"}), ("output", {"findings": 2})):
        _answer(paths[f"{API}/workflows/{{id}}/{name}"]["get"], _ANY, value)
        _answer(paths[f"{INVOCATIONS}/{{id}}/{name}"]["get"], _ANY, value)
    _describe_skills(paths)
    _describe_invocations(paths)
    execute = paths[f"{API}/execute"]["post"]
    execute["requestBody"] = _body("Execute", examples.EXECUTE)
    _answer(execute, ref("ExecuteAnswer"), examples.EXECUTED)
    going_on = {**examples.EXECUTED, "status": "running", "output": None, "seconds": None}
    content = {_JSON: {"schema": ref("ExecuteAnswer"), "example": going_on}}
    execute["responses"]["202"] = {"description": "It goes on", "content": content}
    execute["responses"] |= {str(status): _problem(status, f"{API}/execute") for status in (409, 422)}


def _describe_skills(paths: Document) -> None:
    workers = structure({"items": list_of(ref("Worker")), "alive": {"type": "integer"}, "_links": LINKS})
    path = f"{API}/skills/{{id}}/workers"
    _answer(paths[path]["get"], workers, {**page_example(path, examples.WORKER), "alive": 1})
    figures = structure({"items": list_of(ref("SkillFigures")), "total": ref("SkillFigures"), "_links": LINKS})
    path = f"{API}/skills/{{id}}/figures"
    _answer(paths[path]["get"], figures, {**page_example(path, examples.FIGURES), "total": examples.TOTAL})


def _describe_invocations(paths: Document) -> None:
    item = {"allOf": [ref("Invocation"), structure({"_links": LINKS})]}
    listed = {**examples.INVOCATION, "_links": {"self": f"{INVOCATIONS}/{examples.INVOCATION['id']}"}}
    _answer(paths[INVOCATIONS]["get"], page_of(item), page_example(INVOCATIONS, listed))
    paths[INVOCATIONS]["get"]["parameters"] += filters_of(invocations)
    single = {"allOf": [ref("Invocation"), structure({"_links": LINKS, "_actions": map_of("Action")})]}
    _answer(paths[f"{INVOCATIONS}/{{id}}"]["get"], single, {**listed, "_actions": {}})
    retry = paths[f"{INVOCATIONS}/retry"]["post"]
    retry["requestBody"] = _body("RetryParked", {"skill": "deploy"})
    retried = structure({"items": list_of(ref("RetryOutcome")), "left": {"type": "boolean"}, "_links": LINKS})
    _answer(retry, retried, examples.RETRIED)
    retry["responses"]["422"] = _problem(422, f"{INVOCATIONS}/retry")


def _body(name: str, example: Any) -> Document:
    return {"required": True, "content": {_JSON: {"schema": ref(name), "example": example}}}


def _answer(operation: Document, schema: Document, example: Any) -> None:
    found: Document = operation["responses"].setdefault("200", {"description": "Done"})
    found["content"] = {_JSON: {"schema": schema, "example": example}}


def _problem(status: int, path: str) -> Document:
    name, title = STANDARD[status]
    example = {"type": f"/problems/{name}", "title": title, "status": status, "instance": path}
    return {"description": title, "content": {CONTENT_TYPE: {"schema": ref("Problem"), "example": example}}}
