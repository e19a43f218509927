"""Read models and the audit trail as resources, by the paths of the API: `sagacity:///deployments/shop-17/events`."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from mcp_types import Resource, ResourceTemplate

SCHEME: Final = "sagacity"
_JSON: Final = "application/json"
_PATH: Final = re.compile(r"/[a-z_]+(/[A-Za-z0-9_-]{1,128}(/events|/graph|/input|/output)?)?")


def listed(read_models: list[str]) -> list[Resource]:
    found = [
        Resource(
            uri=f"{SCHEME}:///{name}", name=name, description=f"The first {name} of the read model", mime_type=_JSON
        )
        for name in read_models
    ]
    trail = "Every event, oldest first: who did what when, and what caused it"
    return [Resource(uri=f"{SCHEME}:///events", name="audit trail", description=trail, mime_type=_JSON), *found]


def templates() -> list[ResourceTemplate]:
    return [
        _template("one", "/{read_model}/{id}", "One deployment, model, record, skill, workflow … as it is now"),
        _template("history", "/{read_model}/{id}/events", "All events of one, oldest first"),
        _template("graph", "/workflows/{id}/graph", "The steps of a run, and what became of each"),
        _template("input", "/workflows/{id}/input", "What a run was given, whole"),
        _template("output", "/workflows/{id}/output", "What a run gave, whole"),
        _template("filtered", "/{read_model}{?status,limit,cursor}", "Those of a read model that a filter finds"),
        _template("trail", "/events{?after,until,category,type,correlation_id,limit}", "A part of the audit trail"),
    ]


def path_of(uri: str) -> tuple[str, dict[str, str]]:
    """Path and query of the API. Raises ValueError for what is no resource of ours."""
    parts = urlsplit(uri)
    if parts.scheme != SCHEME or parts.netloc or not _PATH.fullmatch(parts.path):
        raise ValueError(f"{uri} is no resource of this server")
    return parts.path, dict(parse_qsl(parts.query))


def _template(name: str, path: str, description: str) -> ResourceTemplate:
    return ResourceTemplate(uri_template=f"{SCHEME}://{path}", name=name, description=description, mime_type=_JSON)
