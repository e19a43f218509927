"""Short words for what tests ask of the API."""

from __future__ import annotations

import uuid

import httpx


def fresh(prefix="x"):
    """A name nobody else has."""
    return f"{prefix}-{uuid.uuid4().hex[:10]}"


def send(http, type, stream=None, data=None, **fields):
    body = {"type": type, "data": {} if data is None else data, **fields}
    if stream is not None:
        body["stream"] = {"id": stream}
    return http.post("/api/v1/commands", json=body)


def register(http, **data):
    """A registered organization; (its id, the answer)."""
    id = fresh("org")
    answer = send(http, "organization.register", id, {"name": "Acme", **data})
    assert answer.status_code == 201, answer.text
    return id, answer.json()


def stack_with(http, *versions, program="sh"):
    """A stack with versions of the demo's kind, and an environment for it; (stack id, environment id)."""
    (owner, _), stack, environment = register(http), fresh("stack"), fresh("env")
    send(http, "stack.register", stack, {"name": "s", "organization_id": owner})
    targets = [{"name": "local"}]
    send(http, "environment.register", environment, {"name": "e", "organization_id": owner, "targets": targets})
    for version in versions:
        send(http, "stack.publish_version", stack, {"version": version, "release": {"program": program}})
    return stack, environment


def client_of(api):
    return httpx.AsyncClient(base_url=api.url, timeout=30)


async def now(api):
    """The last position of the log."""
    return (await api.services.store.state()).last


async def read(api, client, path, **query):
    """Whatever is on the record by now is in the answer."""
    answer = await client.get(f"/api/v1{path}", params={**query, "min_position": await now(api)})
    assert answer.status_code == 200, answer.text
    return answer.json()
