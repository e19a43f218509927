"""A front passes everything on as it is, and no switch of the release behind it costs a request."""

import asyncio
import gzip
import hashlib
import json
import time
import uuid
from pathlib import Path

import aiohttp
import pytest

from tests.targets.hosts import Host, Load, browser, deploy, until


@pytest.fixture
def key() -> str:
    return uuid.uuid4().hex[:8]


@pytest.fixture
async def url(shared_host: Host, key: str) -> str:
    return await deploy(shared_host, key, front=key)


async def raw(url: str, request: bytes) -> bytes:
    """What comes back on a connection of its own until it is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
    writer.write(request)
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return answer


async def test_no_request_fails_during_switches_under_constant_load(new_host):
    """Twelve rollouts, each with its own release, while keep-alive clients read and write without pause."""
    host = new_host().start()
    url = await deploy(host, "r0")
    async with Load(url) as load:
        for number in range(1, 13):
            assert await deploy(host, f"r{number}") == url
            await host.target.retire(f"r{number}-retire", f"r{number - 1}-start")

            async def answered(name: str = f"r{number}") -> bool:
                return load.answers.get(name, 0) > 100

            await until(answered)
    assert load.failed == []
    assert len(load.answers) == 13
    assert sum(load.answers.values()) > 1300
    assert [run.start_key for run in await host.target.inventory()] == ["r12-start"]
    assert len(host.processes()) == 1


async def test_a_request_in_flight_finishes_where_it_is(shared_host: Host, key: str, url: str):
    async with browser() as session:
        slow = asyncio.create_task(session.get(f"{url}/slow?seconds=0.8"))

        async def in_flight() -> bool:
            return any(run.in_flight for run in await shared_host.target.inventory())

        await until(in_flight)
        await deploy(shared_host, f"{key}-new", front=key)
        began = time.monotonic()
        await shared_host.target.retire(f"{key}-retire", f"{key}-start")
        assert time.monotonic() - began > 0.2
        answer = await slow
        assert (answer.status, await answer.text()) == (200, key)


async def test_retiring_waits_a_bounded_time_only(shared_host: Host, key: str, url: str):
    async with browser() as session:
        endless = asyncio.create_task(session.get(f"{url}/slow?seconds=15"))

        async def in_flight() -> bool:
            return any(run.in_flight for run in await shared_host.target.inventory())

        await until(in_flight)
        await asyncio.wait_for(shared_host.target.retire(f"{key}-retire", f"{key}-start"), 6)
        assert (await endless).status in (502, 503)


async def test_a_front_that_leads_nowhere_says_so(shared_host: Host, key: str, url: str):
    await shared_host.target.switch_back(f"{key}-switch")
    async with browser() as session, session.get(url) as answer:
        assert (answer.status, answer.content_type) == (503, "application/problem+json")
        problem = json.loads(await answer.text())
        assert problem["detail"] == f"the front {key} leads to no release"
        assert answer.headers["Retry-After"] == "1"


async def test_a_release_that_does_not_listen_is_a_bad_gateway(shared_host: Host, key: str):
    url = await deploy(shared_host, key, "--deaf", front=key)
    async with browser() as session, session.get(url) as answer:
        assert (answer.status, answer.content_type) == (502, "application/problem+json")
    [run] = [run for run in await shared_host.target.inventory() if run.start_key == f"{key}-start"]
    assert (run.requests, run.errors, run.in_flight) == (1, 1, 0)
    health = await shared_host.target.health(f"{key}-start")
    assert (health.healthy, health.answered) == (False, False)


async def test_a_read_survives_a_crash_of_its_release(url: str, tmp_path: Path):
    async with browser() as session, session.get(f"{url}/crash-once?file={tmp_path / 'crashed'}") as answer:
        assert answer.status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_a_write_is_never_sent_twice(url: str, tmp_path: Path, method: str):
    """It may have happened. A refused connection carried nothing: then it waits for the release to be back."""
    async with browser() as session:
        async with session.request(method, f"{url}/crash-once?file={tmp_path / 'crashed'}") as answer:
            assert answer.status == 502

        async def arrives() -> bool:
            async with session.request(method, url, data=b"x" * 100_000) as answer:
                return json.loads(await answer.text()).get("size") == 100_000

        await until(arrives)


async def test_a_read_that_crashes_releases_is_not_sent_for_ever(shared_host: Host, key: str, url: str):
    async with browser() as session, session.get(f"{url}/crash") as answer:
        assert answer.status == 502

    async def restarted() -> bool:
        return [run.restarts for run in await shared_host.target.inventory() if run.start_key == f"{key}-start"] == [2]

    await until(restarted)
    reading = await shared_host.target.measure(key)
    assert reading.arms[f"{key}-start"].incidents == 2, "a crash counts against a canary, although reads survive it"


async def test_bodies_pass_both_ways_unchanged(url: str):
    body = bytes(range(256)) * 20_000
    digest = hashlib.sha256(body).hexdigest()

    async def pieces():
        for start in range(0, len(body), 100_000):
            yield body[start : start + 100_000]

    async with browser(auto_decompress=False) as session:
        for data in (body, pieces()):
            async with session.post(url, data=data) as answer:
                assert json.loads(await answer.text())["sha256"] == digest
        packed = gzip.compress(b"a" * 1000)
        async with session.post(url, data=packed, headers={"Content-Encoding": "gzip"}) as answer:
            assert json.loads(await answer.text())["size"] == len(packed)
        async with session.get(f"{url}/gzip") as answer:
            assert answer.headers["Content-Encoding"] == "gzip"
            assert gzip.decompress(await answer.read()) == b"packed" * 100


async def test_answers_are_passed_on_while_they_come(url: str):
    async with browser() as session, session.get(f"{url}/ticks") as answer:
        times = []
        async for chunk in answer.content.iter_any():
            assert chunk.startswith(b"tick")
            times.append(time.monotonic())
    assert len(times) == 5
    assert times[-1] - times[0] > 0.15


async def test_paths_and_headers_pass_as_they_are(url: str):
    path = "/request?a=%2F&b=1%202&b=+#"[:-1]
    host = url.removeprefix("http://")
    answer = await raw(
        url,
        f"GET {path} HTTP/1.1\r\nHost: {host}\r\nX-Two: a\r\nX-Two: b\r\nX-Hop: gone\r\n"
        "Connection: close, X-Hop\r\nX-Forwarded-For: 10.1.1.1\r\n\r\n".encode(),
    )
    seen = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert seen["path"] == path
    headers = [(name, value) for name, value in seen["headers"] if name != "Connection"]
    assert sorted(headers) == [
        ("Host", host),
        ("X-Forwarded-For", "10.1.1.1, 127.0.0.1"),
        ("X-Forwarded-Host", host),
        ("X-Forwarded-Proto", "http"),
        ("X-Two", "a"),
        ("X-Two", "b"),
    ]
    for path in ("//double", "/a/../b", "/%2e%2e/c", "/a;b?c=d=e"):
        answer = await raw(url, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 200"), path


async def test_cookies_head_and_empty_answers(url: str):
    async with browser() as session:
        async with session.get(f"{url}/cookies") as answer:
            assert answer.headers.getall("Set-Cookie") == ["a=1", "b=2"]
        async with session.head(url) as answer:
            assert (answer.status, answer.headers["Content-Length"]) == (200, "8")
        async with session.get(f"{url}/nothing") as answer:
            assert answer.status == 204
            assert "Content-Length" not in answer.headers
        async with session.get(f"{url}/health") as answer:
            assert await answer.text() == "fine"


async def test_an_answer_that_breaks_off_breaks_off_for_the_client_too(url: str):
    async with browser() as session:
        with pytest.raises(aiohttp.ClientPayloadError):
            async with session.get(f"{url}/cut") as answer:
                await answer.read()


async def test_a_client_that_waits_for_100_continue_gets_it(url: str):
    async with browser() as session, session.post(url, data=b"x" * 1000, expect100=True) as answer:
        assert json.loads(await answer.text())["size"] == 1000


@pytest.mark.parametrize("request_line", ["OPTIONS * HTTP/1.1", "CONNECT a:1 HTTP/1.1", "nonsense"])
async def test_requests_that_no_release_understands_are_bad_requests(url: str, request_line: str):
    answer = await raw(url, f"{request_line}\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.0 400")), answer


async def test_websockets_pass_through(url: str, key: str):
    async with browser() as session, session.ws_connect(f"{url}/socket") as socket:
        await socket.send_str("hello")
        assert await socket.receive_str() == f"{key} heard hello"
        assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
    async with browser() as session:
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(url)
