"""What skills, definitions and runs of workflows link to, and what can be done with them now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from api.links import API, link, path_of

Row = Any
Actions = Mapping[str, tuple[str, dict[str, Any]]]


def skill_actions(row: Row) -> Actions:
    last = list(row.versions.values())[-1]
    offered = [name for name, each in row.versions.items() if not each.retired]
    again = {"reinstate": True} if last.retired else {}
    actions: dict[str, tuple[str, dict[str, Any]]] = {
        "register": ("skill.register", {"specification": msgspec.to_builtins(last.specification), **again})
    }
    if offered:
        shares = {name: row.shares.get(name, 0) for name in offered}
        actions["route"] = ("skill.route", {"shares": shares})
        actions["retire"] = ("skill.retire", {"version": offered[0], "reason": ""})
        actions["invoke"] = ("workflow.invoke", {"skill": row.id, "input": None})
    return actions


def skill_links(row: Row) -> Mapping[str, str]:
    path = path_of("skill", row.id)
    links = {
        "workers": f"{path}/workers",
        "figures": f"{path}/figures",
        "invocations": link(f"{API}/invocations", skill=row.id),
        "definitions": link(f"{API}/workflow_definitions", skill=row.id),
    }
    instead = {each.specification.fallback for each in row.versions.values() if not each.retired} - {None}
    return {**links, "fallback": path_of("skill", instead.pop())} if len(instead) == 1 else links


def definition_actions(row: Row) -> Actions:
    publish = {"publish": ("workflow_definition.publish", {"definition": msgspec.to_builtins(row.definition)})}
    if row.status == "withdrawn":
        return publish
    start = {"definition": row.id, "version": row.latest, "input": None}
    return {
        "start": ("workflow.start", start),
        **publish,
        "withdraw": ("workflow_definition.withdraw", {"reason": ""}),
    }


def definition_links(row: Row) -> Mapping[str, str]:
    path = path_of("workflow_definition", row.id)
    runs = link(f"{API}/workflows", definition=row.id)
    return {"versions": f"{path}/versions", "graph": f"{path}/graph", "runs": runs}


def workflow_actions(row: Row) -> Actions:
    if row.ended_at is not None:
        return {}
    actions: dict[str, tuple[str, dict[str, Any]]] = {}
    if row.waiting_for and not row.cancelling:
        given = {"step": row.waiting_for[0].step, "note": ""}
        actions |= {"approve": ("workflow.approve", given), "reject": ("workflow.reject", given)}
    parked = [call for call, each in row.under_way.items() if each.status == "parked"]
    if parked:
        actions["retry"] = ("workflow.retry", {})
        actions["give_up"] = ("workflow.give_up", {"call": parked[0], "reason": ""})
    if not row.cancelling and row.status != "compensating":
        actions["cancel"] = ("workflow.cancel", {"reason": ""})
    return actions


def workflow_links(row: Row) -> Mapping[str, str]:
    path = path_of("workflow", row.id)
    links = {
        "graph": f"{path}/graph",
        "input": f"{path}/input",
        "invocations": link(f"{API}/invocations", run=row.id),
        "children": link(f"{API}/workflows", parent=row.id),
        "conversation": link(f"{API}/events", correlation_id=row.correlation_id),
    }
    if row.output is not None:
        links["output"] = f"{path}/output"
    if row.definition:
        links["definition"] = path_of("workflow_definition", row.definition)
    return {**links, "parent": path_of("workflow", row.parent)} if row.parent else links


def invocation_links(row: Row) -> dict[str, str]:
    path = path_of("invocation", row.id)
    of = {"skill": path_of("skill", row.skill), "workflow": path_of("workflow_definition", row.skill)}
    links = {"self": path, "run": path_of("workflow", row.run), row.kind: of[row.kind], "input": f"{path}/input"}
    if row.kind == "workflow":
        links["child"] = path_of("workflow", row.id)
    if row.output is not None:
        links["output"] = f"{path}/output"
    others = {"undo": row.undo, "undone_by": row.undone_by, "instead_of": row.instead_of, "fallback": row.fallback}
    return {**links, **{name: path_of("invocation", id) for name, id in others.items() if id is not None}}
