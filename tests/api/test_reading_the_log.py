"""What is read straight from the log: everything that is there, and what was just written, on a cluster too."""

import asyncio
import json
from itertools import product

import httpx
import msgspec
import pytest

from handlers.command import CommandRequest
from sagacity.wiring import open_core
from tests.api.calls import client_of, fresh
from tests.projections.platform import ME

NDJSON = {"Accept": "application/x-ndjson"}


async def register(client, *names):
    """The position of the last one's record."""
    for name in names:
        body = {"type": "organization.register", "stream": name, "data": {"name": name}}
        answer = await client.post("/api/v1/commands", json=body)
        assert answer.status_code == 201
    return answer.json()["position"]


def paths(name):
    return (
        "/api/v1/events",
        f"/api/v1/organizations/{name}/events",
        "/api/v1/inbound",
        "/api/v1/projections",
        "/api/v1/projections/organizations",
    )


async def test_a_position_that_is_not_there_in_time_is_a_problem(api):
    async with client_of(api) as client:
        name = fresh("org")
        position = await register(client, name)
        for path, headers in [*((path, {}) for path in paths(name)), ("/api/v1/events", NDJSON)]:
            query = {"min_position": position + 1, "wait": 0.1}
            answer = await client.get(path, params=query, headers=headers)
            assert (answer.status_code, answer.json()["type"]) == (504, "/problems/position-not-reached"), path
            assert answer.json()["detail"] == f"the log has reached position {position}, not yet {position + 1}"


async def test_the_log_is_waited_for(api):
    async with client_of(api) as client:
        name = fresh("org")
        position = await register(client, name)
        query = {"min_position": position + 2, "wait": 10}
        waiting = [asyncio.create_task(client.get(path, params=query)) for path in paths(name)]
        await asyncio.sleep(0.1)
        assert not any(task.done() for task in waiting)
        await register(client, fresh("org"))
        for answer in await asyncio.gather(*waiting):
            assert answer.status_code == 200
            assert int(answer.headers["X-Position"]) >= position + 2


async def test_a_position_is_known_although_live_events_stand_still(api, monkeypatch):
    async with client_of(api) as client:
        position = await register(client, fresh("org"))
        monkeypatch.setattr(api.services.live, "position", 0)
        answer = await client.get("/api/v1/events", params={"min_position": position, "wait": 0})
        assert answer.status_code == 200
        assert int(answer.headers["X-Position"]) >= position


async def test_what_is_no_wait_is_refused(api):
    async with client_of(api) as client:
        for path, wait in product(paths("some"), ("-1", "31", "soon")):
            answer = await client.get(path, params={"min_position": 1, "wait": wait})
            assert (answer.status_code, answer.json()["faults"][0]["where"]) == (422, "wait"), (path, wait)


@pytest.fixture
def behind(api, monkeypatch):
    """Whatever node answers for the log, it has not heard of anything above a position yet."""

    def is_behind(position):
        reader = api.services.store.reader
        page = reader.page

        async def old_page(after, limit, *, subject=None):
            return [event for event in await page(after, limit, subject=subject) if event[0] <= position]

        monkeypatch.setattr(reader, "page", old_page)

    return is_behind


QUERIES = (
    ({}, range(1, 21)),
    ({"after": 9}, range(10, 21)),
    ({"until": 13}, range(1, 14)),
    ({"category": "organization"}, range(1, 21, 2)),
    ({"category": "organization", "after": 10, "until": 18}, range(11, 19, 2)),
    ({"category": "organization,stack"}, range(1, 21, 2)),
    ({"category": "stack"}, []),
    ({"type": "command.accepted"}, range(2, 21, 2)),
    ({"limit": 13}, range(1, 14)),
)
"""With the positions of what is found."""


async def test_the_trail_is_whole_although_a_follower_is_behind(api, behind):
    async with client_of(api) as client:
        await register(client, *(fresh("org") for _ in range(10)))
        behind(7)
        for query, positions in QUERIES:
            page = (await client.get("/api/v1/events", params=query)).json()
            assert [item["position"] for item in page["items"]] == list(positions), query
            lines = (await client.get("/api/v1/events", params=query, headers=NDJSON)).text.splitlines()
            assert [json.loads(line)["position"] for line in lines] == list(positions), query


async def test_a_history_has_what_was_acknowledged_although_a_follower_is_behind(api, own_nats, monkeypatch):
    name = fresh("org")
    async with open_core(own_nats.url) as elsewhere:
        for type, data in (("register", b'{"name": "x"}'), ("describe", b'{"description": "y"}')):
            request = CommandRequest(type=f"organization.{type}", stream_id=name, data=data)
            assert (await elsewhere.handler.handle(request, ME)).outcome == "accepted"
    store = api.services.store
    load = store.reader.load

    async def old_load(stream, **more):
        return (await load(stream, **more))[:1]

    monkeypatch.setattr(store, "_clustered", True)
    monkeypatch.setattr(store.reader, "load", old_load)
    async with client_of(api) as client:
        items = (await client.get(f"/api/v1/organizations/{name}/events")).json()["items"]
        assert [item["type"] for item in items] == ["organization.registered", "organization.described"]


async def test_a_trail_that_is_shorter_than_it_was_does_not_look_whole(api, monkeypatch):
    """The client must see the connection break, not a clean end."""
    async with client_of(api) as client:
        await register(client, fresh("org"))
        state = await api.services.store.state()

        async def had_more():
            return msgspec.structs.replace(state, last=state.last + 1)

        monkeypatch.setattr(api.services.store, "state", had_more)
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get("/api/v1/events", headers=NDJSON)
