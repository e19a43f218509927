"""What records, their sources and schemas link to, and what can be done with them now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from api.links import API, link, path_of

Row = Any
Actions = Mapping[str, tuple[str, dict[str, Any]]]


def record_actions(row: Row) -> Actions:
    if row.status == "dismissed":
        return {}
    actions: dict[str, tuple[str, dict[str, Any]]] = {"dismiss": ("record.dismiss", {"reason": ""})}
    if row.status == "parked":
        return {"retry": ("record.retry", {}), **actions}
    if row.domain is not None and row.status != "answer":
        actions["correct"] = ("record.correct", {"path": "", "value": None})
        actions |= {"answer": ("record.answer", {"values": dict.fromkeys(row.missing)})} if row.missing else {}
    match row.follow_up_status:
        case "waiting":
            actions["pause"] = ("record.pause_follow_up", {"reason": ""})
        case "paused":
            actions["resume"] = ("record.resume_follow_up", {})
        case "answered" | "expired" | "ended" if row.missing and row.status != "completed":
            actions["chase"] = ("record.start_follow_up", {})
        case _:
            pass
    return actions


def record_links(row: Row) -> Mapping[str, str]:
    path = path_of("record", row.id)
    links = {
        "source": path_of("source", row.source),
        "follow_ups": f"{path}/follow_ups",
        "original": f"{path}/original",
        "quality": link(f"{API}/quality", entity_type="record", entity_id=row.id),
        "conversation": link(f"{API}/events", correlation_id=row.correlation_id),
    }
    if row.schema_version:
        links["schema"] = path_of("record_schema", row.domain)
    others = {"duplicate_of": row.duplicate_of, "answers": row.answers}
    return {**links, **{name: path_of("record", id) for name, id in others.items() if id is not None}}


def source_actions(row: Row) -> Actions:
    if row.status == "closed":
        return {}
    names = ("platform", "name", "organization_id", "language", "domain", "calendar", "follow_up", "limits", "reply")
    given = {name: msgspec.to_builtins(getattr(row, name)) for name in (*names, "secret", "verify")}
    return {"configure": ("source.configure", given), "close": ("source.close", {"reason": ""})}


def source_links(row: Row) -> Mapping[str, str]:
    links = {
        "intake": f"{API}/intake/{row.id}",
        "records": link(f"{API}/records", source=row.id),
        "trends": link(f"{API}/quality/trends", source=row.id),
    }
    return {**links, "organization": path_of("organization", row.organization_id)} if row.organization_id else links


def schema_actions(row: Row) -> Actions:
    schema = {"name": row.id, "title": row.title, **msgspec.to_builtins({"fields": row.fields, "rules": row.rules})}
    return {"publish": ("record_schema.publish", {"schema": schema})}


def schema_links(row: Row) -> Mapping[str, str]:
    path = path_of("record_schema", row.id)
    return {"versions": f"{path}/versions", "records": link(f"{API}/records", domain=row.id)}


def automation_actions(row: Row) -> Actions:
    if row.status == "removed":
        return {}
    change = "resume" if row.status == "paused" else "pause"
    return {change: (f"automation.{change}", {}), "remove": ("automation.remove", {})}


def automation_links(row: Row) -> Mapping[str, str]:
    return {"firings": f"{path_of('automation', row.id)}/firings"}
