"""A definition, or a run of it, as a graph: as data, and as a flowchart of Mermaid.

Mermaid's entity codes (`#34;`) are from https://mermaid.js.org/syntax/flowchart.html#entity-codes-to-escape-characters.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Literal

from msgspec import Struct

from domain.workflow_definition import Step
from domain.workflow_patterns import written_out
from projections.workflows import Run, StepKind, StepLine, kind_of

NodeStatus = Literal[
    "defined", "waiting", "running", "asked", "parked", "succeeded", "failed", "skipped", "cancelled", "not_begun"
]
"""`defined`: in a definition; `asked`: a person is to decide; `parked`: a dead letter is to be dealt with; `cancelled`
and `not_begun`: the run was over before the step was, or before it began."""


class Node(Struct, frozen=True):
    """A step. `asks` is what it names: skills, a workflow; `fallbacks` are those that were asked instead, each with the
    one that had failed. `seconds` are those of the work of all its calls."""

    id: str
    kind: StepKind
    status: NodeStatus
    asks: list[str]
    when: str = ""
    each: str = ""
    compensate: str | None = None
    items: int = 0
    calls: int = 0
    succeeded: int = 0
    failed: int = 0
    undone: int = 0
    round: int = 1
    seconds: float = 0.0
    cost: float = 0.0
    reason: str = ""
    fallbacks: dict[str, str] = {}


class Edge(Struct, frozen=True):
    """`needs`: the target begins when the source is over; `revises`: the source sends work back to the target."""

    source: str
    target: str
    kind: Literal["needs", "revises"] = "needs"
    label: str = ""


class Graph(Struct, frozen=True):
    """`id` is a run's, or a definition's, whose `status` is None."""

    id: str
    definition: str
    version: int
    status: str | None
    nodes: list[Node]
    edges: list[Edge]


def graph_of_definition(name: str, version: int, steps: Mapping[str, Step]) -> Graph:
    """With its patterns written out."""
    steps = written_out(steps)
    nodes = [_node(name, step, StepLine(kind_of(step)), "defined") for name, step in steps.items()]
    return Graph(name, name, version, None, nodes, list(_edges(steps)))


def graph_of_run(run: Run, steps: Mapping[str, Step]) -> Graph:
    """`steps` as the run began with them."""
    nodes = [
        _node(name, step, run.steps[name], _status(run, name)) for name, step in steps.items() if name in run.steps
    ]
    return Graph(run.id, run.definition, run.definition_version, run.status, nodes, list(_edges(steps)))


def _node(name: str, step: Step, line: StepLine, status: NodeStatus) -> Node:
    return Node(
        name,
        line.kind,
        status,
        _asks(step),
        step.when,
        step.each,
        step.compensate.skill if step.compensate else None,
        line.items,
        line.calls,
        line.succeeded,
        line.failed,
        line.undone,
        line.round,
        line.seconds,
        line.cost,
        line.reason,
        line.fallbacks,
    )


def _asks(step: Step) -> list[str]:
    candidates = [candidate.skill for candidate in step.adaptive.candidates] if step.adaptive else []
    own = [name for name in (step.skill, step.workflow) if name is not None]
    return list(dict.fromkeys([*own, *step.team, *candidates]))


def _status(run: Run, step: str) -> NodeStatus:
    if any(call.step == step and call.status == "parked" for call in run.under_way.values()):
        return "parked"
    if any(question.step == step for question in run.waiting_for):
        return "asked"
    status = run.steps[step].status
    if run.ended_at is None:
        return status
    match status:
        case "running":
            return "cancelled"
        case "waiting":
            return "not_begun"
        case "succeeded" | "failed" | "skipped":
            return status


def _edges(steps: Mapping[str, Step]) -> Iterator[Edge]:
    for name, step in steps.items():
        yield from (Edge(needed, name) for needed in step.needs)
        if step.revise is not None:
            yield Edge(name, step.revise.back_to, "revises", f"at most {step.revise.at_most} times")


_SHAPES: Final[Mapping[StepKind, tuple[str, str]]] = {
    "skill": ("[", "]"),
    "workflow": ("[[", "]]"),
    "approval": ("{", "}"),
    "wait": ("([", "])"),
    "adaptive": ("{{", "}}"),
    "chain": ("[", "]"),
    "swarm": ("[", "]"),
    "hybrid": ("[", "]"),
}
_COLOURS: Final[Mapping[NodeStatus, str]] = {
    "defined": "fill:#f4f6f8,stroke:#5b6b7b,color:#1d2833",
    "waiting": "fill:#f4f6f8,stroke:#9aa7b4,color:#5b6b7b",
    "running": "fill:#e3f0ff,stroke:#1f6feb,color:#0b3d91",
    "asked": "fill:#fff6d6,stroke:#b58100,color:#5c4300",
    "parked": "fill:#ffe8d6,stroke:#c25a00,color:#6b3200",
    "succeeded": "fill:#e0f5e5,stroke:#1a7f37,color:#0f5323",
    "failed": "fill:#ffe3e3,stroke:#c62828,color:#7f1d1d",
    "skipped": "fill:#ffffff,stroke:#9aa7b4,color:#9aa7b4,stroke-dasharray:4",
    "cancelled": "fill:#eceff2,stroke:#5b6b7b,color:#1d2833,stroke-dasharray:4",
    "not_begun": "fill:#ffffff,stroke:#9aa7b4,color:#9aa7b4",
}
_PLAIN: Final = frozenset(" _-.,:/·")
_LONGEST: Final = 80
"""Characters of one line in a node."""


def mermaid_of(graph: Graph) -> str:
    """Steps are numbered in it: their names stand in the texts alone, where nothing has a meaning."""
    number = {node.id: f"n{place}" for place, node in enumerate(graph.nodes)}
    lines = ["flowchart TD"]
    lines += [f"    {_title(graph)}"] if not graph.nodes else []
    for node in graph.nodes:
        opens, closes = _SHAPES[node.kind]
        label = "<br/>".join(_text(line) for line in _label(node))
        lines.append(f'    {number[node.id]}{opens}"{label}"{closes}:::{node.status}')
    for edge in graph.edges:
        if edge.source in number and edge.target in number:
            arrow = "-->" if edge.kind == "needs" else f'-. "{_text(edge.label)}" .->'
            lines.append(f"    {number[edge.source]} {arrow} {number[edge.target]}")
    used: Iterable[NodeStatus] = dict.fromkeys(node.status for node in graph.nodes)
    lines += [f"    classDef {status} {_COLOURS[status]}" for status in used]
    return "\n".join(lines) + "\n"


def _title(graph: Graph) -> str:
    return f'n0["{_text(graph.id)}"]'


def _label(node: Node) -> Iterator[str]:
    yield node.id
    if node.asks:
        yield ", ".join(node.asks) + (
            f" per item, {node.items} items" if node.items else " per item" if node.each else ""
        )
    elif node.kind != "skill":
        yield node.kind
    yield from (f"{fallback} instead of {failed}" for fallback, failed in node.fallbacks.items())
    if node.when:
        yield f"when {node.when}"
    if node.status == "defined":
        return
    failed = f", {node.failed} failed" if node.failed else ""
    undone = f", {node.undone} undone" if node.undone else ""
    again = f" · round {node.round}" if node.round > 1 else ""
    took = f" · {node.seconds:.3g} s" if node.seconds else ""
    calls = f" · {node.calls} calls{failed}{undone}" if node.calls > 1 or failed or undone else ""
    yield f"{node.status.replace('_', ' ')}{calls}{took}{again}"


def _text(text: str) -> str:
    """Whatever it says, as the text of a node: no markup, no quotation, no comment, one line."""
    line = " ".join(text.split())
    line = line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
    return "".join(
        each if each.isalnum() or each in _PLAIN else f"#{ord(each)};" for each in line if each.isprintable()
    )
