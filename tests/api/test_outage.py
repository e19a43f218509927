"""What the API says while a server it needs is away, and that it goes on by itself afterwards."""

import asyncio
import json
import os
import signal
import socket
from datetime import UTC, datetime

import httpx
import msgspec
import pytest

from api.serving import serve
from eventstore.errors import LogUnavailable
from sagas.targets.port import LogLine
from tests.api.calls import client_of, fresh


async def ready(client, status):
    async with asyncio.timeout(20):
        while (answer := await client.get("/health/ready")).status_code != status:
            await asyncio.sleep(0.1)
    return answer.json()


async def test_without_the_log_nothing_is_taken_and_the_id_to_send_again_is_named(api, own_nats):
    async with client_of(api) as client:
        await ready(client, 200)
        body = {"type": "organization.register", "stream": fresh("org"), "data": {"name": "x"}}
        own_nats.nodes[0].kill()
        health = await ready(client, 503)
        assert health["dependencies"]["log"]["verdict"] == "failing"
        assert (await client.get("/health/live")).status_code == 200
        refused = await client.post("/api/v1/commands", json=body)
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        problem = refused.json()
        assert problem["type"] == "/problems/log-unavailable"
        own_nats.nodes[0].start()
        await ready(client, 200)
        again = await client.post("/api/v1/commands", json={**body, "id": problem["command_id"]})
        assert again.status_code in (200, 201)
        history = await client.get(again.json()["_links"]["events"])
        assert len(history.json()["items"]) == 1


async def test_without_the_log_events_from_outside_are_refused(api):
    async with client_of(api) as client:
        event = {"specversion": "1.0", "id": "1", "source": "s", "type": "t"}
        headers = {"Content-Type": "application/cloudevents+json"}
        answer = await client.post("/api/v1/events", json=event, headers=headers)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")


async def test_live_events_go_on_after_an_outage_without_gap_or_repetition(api, own_nats):
    async def hear(count):
        positions = []
        async with client_of(api) as client, client.stream("GET", "/api/v1/events/stream?after=0") as answer:
            async for line in answer.aiter_lines():
                if line.startswith("data: "):
                    positions.append(json.loads(line[6:])["position"])
                    if len(positions) == count:
                        return positions

    hearing = asyncio.create_task(hear(40))
    async with client_of(api) as client:
        for half in range(2):
            for _ in range(10):
                body = {"type": "organization.register", "data": {"name": "x"}}
                assert (await client.post("/api/v1/commands", json=body)).status_code == 201
            if half == 0:
                own_nats.nodes[0].kill()
                own_nats.nodes[0].start()
                await ready(client, 200)
    assert await asyncio.wait_for(hearing, 20) == list(range(1, 41))


async def test_without_postgresql_commands_go_on_and_queries_say_so(api):
    async with client_of(api) as client:
        api.services.pool.terminate()
        health = await ready(client, 503)
        assert health["dependencies"]["read_models"]["verdict"] == "failing"
        body = {"type": "organization.register", "data": {"name": "x"}}
        accepted = await client.post("/api/v1/commands", json=body, headers={"Prefer": "wait=1"})
        assert accepted.status_code == 201
        assert "Preference-Applied" not in accepted.headers
        for path in ("/api/v1/organizations", "/api/v1/organizations/acme", "/api/v1/projections"):
            answer = await client.get(path)
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
            assert answer.json()["type"] == "/problems/read-models-unavailable"
        assert (await client.get(f"/api/v1/commands/{accepted.json()['command_id']}")).status_code == 200
        assert (await client.get("/metrics")).status_code == 200


async def deployed(api):
    release = {"program": "sh"}
    async with client_of(api) as client:
        commands = [
            ("organization.register", "acme", {"name": "Acme"}),
            ("stack.register", "s", {"name": "s", "organization_id": "acme"}),
            ("stack.publish_version", "s", {"version": "1", "release": release}),
            ("environment.register", "e", {"name": "e", "organization_id": "acme", "targets": [{"name": "local"}]}),
            ("deployment.request", "d", {"stack_id": "s", "environment_id": "e", "version": "1"}),
        ]
        for type, stream, data in commands:
            sent = await client.post("/api/v1/commands", json={"type": type, "stream": stream, "data": data})
            assert sent.status_code == 201, sent.text
        position = sent.json()["position"]
        assert (await client.get(f"/api/v1/deployments/d?min_position={position}")).status_code == 200


async def test_a_target_that_is_away_has_no_logs_now(api):
    await deployed(api)
    async with client_of(api) as client:
        answer = await client.get("/api/v1/deployments/d/logs")
        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/target-unavailable")


def line(number):
    return LogLine(number, datetime.now(UTC), "stdout", f"line {number}")


async def test_logs_are_paged_and_followed_through_an_absence_of_the_target(api):
    await deployed(api)
    api.target.lines = [line(number) for number in range(1, 6)]
    heard = []
    async with client_of(api) as client:
        page = (await client.get("/api/v1/deployments/d/logs?limit=3")).json()
        rest = (await client.get(page["_links"]["next"])).json()
        assert [each["number"] for each in page["items"] + rest["items"]] == [1, 2, 3, 4, 5]
        async with client.stream("GET", "/api/v1/deployments/d/logs?after=3&follow=true") as answer:
            async for text in answer.aiter_lines():
                heard.append(json.loads(text)["text"])
                if len(heard) == 2:
                    so_far, api.target.lines = api.target.lines, None
                    await asyncio.sleep(0.6)
                    api.target.lines = [*so_far, line(6)]
                if len(heard) == 3:
                    break
    assert heard == ["line 4", "line 5", "line 6"]


async def test_a_trail_that_breaks_off_does_not_look_whole(api, monkeypatch):
    """The client must see the connection break, not a clean end."""
    async with client_of(api) as client:
        for _ in range(60):
            body = {"type": "organization.register", "data": {"name": "x"}}
            assert (await client.post("/api/v1/commands", json=body)).status_code == 201
        read = api.services.store.read

        async def breaks(after=0, limit=1000, **more):
            if after >= 100:
                raise LogUnavailable("it is away")
            return await read(after, limit, **more)

        monkeypatch.setattr(api.services.store, "read", breaks)
        lines = []
        with pytest.raises(httpx.RemoteProtocolError):
            async with client.stream("GET", "/api/v1/events", headers={"Accept": "application/x-ndjson"}) as answer:
                lines += [line async for line in answer.aiter_lines()]


async def test_an_unexpected_error_shows_nothing_of_the_inside_but_where_to_look(api, monkeypatch, caplog):
    async def bug(id):
        raise KeyError("secret")

    monkeypatch.setattr(api.services.handler, "outcome", bug)
    async with client_of(api) as client:
        answer = await client.get("/api/v1/commands/some")
    assert (answer.status_code, answer.json()["type"]) == (500, "/problems/unexpected")
    assert "secret" not in answer.text
    reference = answer.json()["detail"].rsplit(" ", 1)[1]
    assert reference in caplog.text
    assert "secret" in caplog.text


async def test_open_streams_do_not_keep_it_from_stopping(api):
    async with client_of(api) as client, client.stream("GET", "/api/v1/events/stream") as answer:
        assert answer.status_code == 200
        api.stop.set()
        await asyncio.wait_for(asyncio.shield(api.serving), 10)


async def nothing(scope, receive, send):
    pass


@pytest.mark.parametrize("port", [0, 70_000])
async def test_what_is_no_port_is_refused(port):
    with pytest.raises(OSError, match=f"{port} is no port"):
        await serve(nothing, "127.0.0.1", port, asyncio.Event())


async def test_a_port_that_is_taken_is_named():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(OSError, match=f"127.0.0.1:{port} cannot be listened on"):
            await serve(nothing, "127.0.0.1", port, asyncio.Event())


def test_a_process_host_that_hangs_is_told(platform, http):
    pid = platform.pid("process-host")
    os.kill(pid, signal.SIGSTOP)
    try:
        health = http.get("/health").json()
        assert health["status"] == "degraded"
        assert "the process host does not answer" in health["dependencies"]["releases"]["detail"]
    finally:
        os.kill(pid, signal.SIGCONT)
    assert http.get("/health").json()["status"] == "ok"


async def detail(client, dependency):
    return (await client.get("/health")).json()["dependencies"][dependency]["detail"]


async def test_what_is_no_event_halts_the_readers_and_nobody_else(api):
    """Only whoever has all rights on the log can write such a thing; `sagacity verify` finds it."""
    async with client_of(api) as client:
        body = {"type": "organization.register", "data": {"name": "x"}}
        assert (await client.post("/api/v1/commands", json=body)).status_code == 201
        await api.services.store.connection.request("evt.organization.forged.1", b"forged", timeout=5)
        async with asyncio.timeout(20):
            for reader in ("projections", "live"):
                while "position 3 holds no event document" not in await detail(client, reader):
                    await asyncio.sleep(0.05)
        assert (await client.get("/health")).json()["status"] == "degraded"
        assert (await client.post("/api/v1/commands", json=body)).status_code == 201
        assert (await client.get("/api/v1/organizations")).status_code == 200


def test_a_log_that_hangs_is_failing_not_hanging(platform, http):
    """nats-server is stopped in the middle of everything, as an overloaded machine would."""
    pid = platform.pid("nats-server")
    os.kill(pid, signal.SIGSTOP)
    try:
        health = http.get("/health/ready")
        assert health.status_code == 503
        assert health.json()["dependencies"]["log"] == {"verdict": "failing", "detail": "the log does not answer"}
    finally:
        os.kill(pid, signal.SIGCONT)
    name = fresh("org")
    body = msgspec.json.encode({"type": "organization.register", "stream": name, "data": {"name": "x"}})
    assert http.post("/api/v1/commands", content=body).status_code == 201
