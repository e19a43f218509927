"""Commands over NATS: the bodies and answers of `POST /commands`, for any number of askers."""

import asyncio
import json

import msgspec
import pytest
import pytest_asyncio

from api.requests import command_answers
from eventstore.connection import connect_to
from eventstore.envelope import StreamId
from handlers.requests import answer_requests


@pytest_asyncio.fixture
async def ask(core, server):
    answering = asyncio.create_task(answer_requests(core.connection, command_answers(core.handler)))
    client = await connect_to(server.url)

    async def ask(type, body, **headers):
        raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
        reply = await client.request(f"cmd.{type}", raw, timeout=10, headers=headers or None)
        return json.loads(reply.data)

    while True:  # until the responder's subscription has reached the server
        try:
            await ask("none.such", {})
            break
        except Exception:
            await asyncio.sleep(0.02)
    yield ask
    await client.close()
    answering.cancel()
    await asyncio.wait({answering})


async def test_answers_are_those_of_http_with_a_status(ask):
    body = {"id": "n1", "stream": {"id": "n1"}, "data": {"name": "By NATS"}}
    first = await ask("organization.register", body)
    assert (first["status"], first["outcome"], first["version"]) == (201, "accepted", 1)
    assert first["_links"]["resource"] == "/api/v1/organizations/n1"
    assert await ask("organization.register", body) == {**first, "status": 200, "duplicate": True}
    refused = await ask("organization.register", {**body, "id": "n1-again"})
    assert (refused["status"], refused["type"]) == (409, "/problems/organization-already-registered")
    assert refused["instance"] == "cmd.organization.register"
    conflict = await ask("organization.describe", {"stream": "n1", "data": {"description": ""}, "expected_version": 9})
    assert (conflict["status"], conflict["current_version"], conflict["expected_version"]) == (409, 1, 9)


async def test_headers_say_who_asks(ask, core):
    headers = {"X-Actor": "robot", "X-Correlation-Id": "talk", "X-Tenant": "t", "Idempotency-Key": "n2"}
    answer = await ask("organization.register", {"stream": "n2", "data": {"name": "x"}}, **headers)
    assert answer["command_id"] == "n2"
    (event,) = await core.store.load(StreamId("organization", "n2"))
    assert (event.envelope.actor, event.envelope.correlationid, event.envelope.tenant) == ("robot", "talk", "t")


@pytest.mark.parametrize(
    ("type", "raw", "status", "text"),
    [
        ("organization.register", b"", 422, "/data: 'name' is a required property"),
        ("organization.register", b"[", 400, "malformed"),
        ("organization.register", b"7", 422, "7 is not of type 'object'"),
        ("organization.register", b"\xff", 400, "byte 0 (0xff) is not UTF-8"),
        ("organization.register", b'{"data":{"name":"\xff"}}', 400, "byte 17 (0xff) is not UTF-8"),
        ("organization.register", b"[" * 5_000, 400, "nested too deeply"),
        ("organization.register", b'{"data":{"name":"\\u0000"}}', 422, "/data/name: must not contain NUL"),
        ("organization.register", b'{"type":"stack.register"}', 422, "names another command"),
        ("organization.register", b'{"data":{"name":1,"x":2}}', 422, "/data/name: 1 is not of type 'string'"),
        ("organization.register", b'{"id":"a.b","data":{"name":"x"}}', 422, "/id: must be 1 to 128"),
        ("organization.destroy", b"{}", 422, "there is no command 'organization.destroy'"),
        ("deployment.complete", b"{}", 422, "there is no command 'deployment.complete'"),
        ("organization.register.twice", b"{}", 422, "there is no command"),
    ],
)
async def test_a_body_that_is_no_command(ask, core, type, raw, status, text):
    before = (await core.store.state()).last
    answer = await ask(type, raw)
    assert answer["status"] == status
    assert text in answer["detail"]
    assert (await core.store.state()).last == before


async def test_a_command_that_nobody_waits_for_is_done_all_the_same(ask, core):
    await core.connection.publish("cmd.organization.register", b'{"stream":"n3","data":{"name":"x"}}')
    async with asyncio.timeout(10):
        while not await core.store.load(StreamId("organization", "n3")):
            await asyncio.sleep(0.02)


async def test_thousands_at_once_are_all_answered(ask):
    """More than are worked on at the same time."""
    body = {"data": {"name": "x"}}
    answers = await asyncio.gather(*(ask("organization.register", body) for _ in range(1_500)))
    assert {answer["status"] for answer in answers} == {201}
    assert len({answer["command_id"] for answer in answers}) == 1_500
