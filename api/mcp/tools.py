"""Skills and workflow definitions as tools: `<skill>`, and `workflow.<definition>`."""

from __future__ import annotations

import json
from typing import Any, Final, NamedTuple, cast

from mcp_types import CallToolResult, TextContent, Tool, ToolAnnotations

WORKFLOW: Final = "workflow."
_WRAPPED: Final = "input"
"""The one argument of a tool whose skill takes something else than an object."""
_LONGEST_TEXT: Final = 100_000


class Offer(NamedTuple):
    """A tool, and what is to be given to begin it: the command and its data but for the input. `effects`: calling it
    may change something."""

    tool: Tool
    command: str
    data: dict[str, Any]
    wrapped: bool
    effects: bool


class Choice(NamedTuple):
    """What is offered: what has no effects, and beyond that what was named, or everything."""

    named: frozenset[str] = frozenset()
    everything: bool = False

    def has(self, offer: Offer) -> bool:
        return self.everything or not offer.effects or offer.tool.name in self.named


HARMLESS: Final = Choice()


def skill_offer(row: dict[str, Any]) -> Offer | None:
    """None: no version of the skill may be asked now."""
    offered = [each for each in row["versions"].values() if each["share"] and not each["retired"]]
    if not offered:
        return None
    specification: dict[str, Any] = max(offered, key=lambda each: each["share"])["specification"]
    schema, wrapped = _object_schema(specification.get("input", {}))
    output, shapeless = _object_schema(specification.get("output", {}))
    # Any of the versions may be the one that is asked.
    effects = any(each["specification"].get("effects", True) for each in offered)
    tool = Tool(
        name=row["id"],
        description=specification.get("description") or row["id"],
        input_schema=schema,
        output_schema=None if shapeless or not specification.get("output") else output,
        annotations=ToolAnnotations(read_only_hint=not effects),
    )
    return Offer(tool, "workflow.invoke", {"skill": row["id"], "park": False}, wrapped, effects)


def workflow_offer(row: dict[str, Any]) -> Offer | None:
    """None: it is withdrawn."""
    if row["status"] == "withdrawn":
        return None
    definition = row["definition"]
    schema, wrapped = _object_schema(definition.get("input", {}))
    description = definition.get("description") or f"Runs the workflow {row['id']}"
    tool = Tool(name=WORKFLOW + row["id"], description=description, input_schema=schema)
    return Offer(tool, "workflow.start", {"definition": row["id"]}, wrapped, effects=True)


def input_of(offer: Offer, arguments: dict[str, Any]) -> Any:
    return arguments.get(_WRAPPED) if offer.wrapped else arguments


def result_of(run: dict[str, Any], output: Any) -> CallToolResult:
    """What the run gave, with its id, by which everything about it is found."""
    structured = cast("dict[str, Any]", output) if isinstance(output, dict) else None
    text = output if isinstance(output, str) else json.dumps(output, ensure_ascii=False)
    if structured is not None and len(text) > _LONGEST_TEXT:
        # Clients that know structured content do not need it twice.
        text = f"{text[:_LONGEST_TEXT]}…\nWhole: {_place(run)}"
    return CallToolResult(content=[_text(text)], structured_content=structured, _meta=_meta(run))


def elsewhere(offer: Offer, run: dict[str, Any], size: int) -> CallToolResult:
    """Of a run whose output is too large to be sent. Where a tool has a schema of its output, only an error may come
    without one (MCP, "Tools", output schema)."""
    text = f"It is done; the output has {size} bytes: {_place(run)}"
    has_schema = offer.tool.output_schema is not None
    return CallToolResult(content=[_text(text)], is_error=has_schema, _meta=_meta(run))


def failure_of(run: dict[str, Any]) -> CallToolResult:
    reason = run.get("reason") or run["status"]
    return CallToolResult(content=[_text(f"{reason} (run {run['id']})")], is_error=True, _meta=_meta(run))


def failure(reason: str) -> CallToolResult:
    return CallToolResult(content=[_text(reason)], is_error=True)


def _text(text: str) -> TextContent:
    return TextContent(text=text)


def _place(run: dict[str, Any]) -> str:
    return f"GET /api/v1/workflows/{run['id']}/output, or the resource sagacity:///workflows/{run['id']}/output"


def _meta(run: dict[str, Any]) -> dict[str, Any]:
    return {"run": run["id"], "status": run["status"], "cost": run.get("cost", 0.0)}


def _object_schema(schema: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """The schema with an object at its root, as tools have it, and whether it had to be wrapped for that."""
    if not schema:
        return {"type": "object"}, False
    root, definitions = schema, schema.get("$defs", {})
    name = str(schema.get("$ref", "")).removeprefix("#/$defs/")
    if name in definitions:
        root = {**definitions[name], "$defs": definitions}
    if root.get("type") == "object":
        return root, False
    wrapped = {key: value for key, value in schema.items() if key != "$defs"}
    return {
        "type": "object",
        "properties": {_WRAPPED: wrapped},
        "required": [_WRAPPED],
        **({"$defs": definitions} if definitions else {}),
    }, True
