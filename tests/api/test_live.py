"""Live events: nothing missed, nothing twice, whoever is slow, far behind or gone."""

import asyncio
import json
import re
import time

import aiohttp
import httpx
import pytest

from api.live import EventFilter, Live
from eventstore.envelope import StreamId
from tests.api.calls import fresh, register, send
from tests.eventstore.log import CONTEXT, Noted, fresh_log


def listen(http, *, after=None, last=None, count, **filters):
    """The next `count` live events as (id, event)."""
    headers = {"Last-Event-ID": str(last)} if last is not None else {}
    params = {**filters, **({"after": after} if after is not None else {})}
    heard, id = [], None
    with http.stream("GET", "/api/v1/events/stream", params=params, headers=headers) as answer:
        for line in answer.iter_lines():
            if line.startswith("id: "):
                id = int(line[4:])
            elif line.startswith("data: "):
                heard.append((id, json.loads(line[6:])))
                if len(heard) == count:
                    return heard
    raise AssertionError("the stream ended")


def test_live_events_resume_without_gap_or_repetition(http):
    name, first = register(http)
    for number in range(9):
        send(http, "organization.describe", name, {"description": str(number)})
    start = first["events"][0]["position"] - 1
    talk = {"category": "organization", "type": "organization.described"}
    one = listen(http, after=start, count=4, **talk)
    two = listen(http, last=one[-1][0], count=5, **talk)
    heard = [event["data"]["description"] for _, event in one + two if event["stream"] == f"organization/{name}"]
    assert heard == [str(number) for number in range(9)]
    assert all(id == event["position"] for id, event in one + two)


async def test_live_events_come_as_they_happen_to_many(platform):
    name = fresh("org")

    async def hear(client):
        async with client.stream("GET", "/api/v1/events/stream", params={"category": "organization"}) as answer:
            async for line in answer.aiter_lines():
                if line.startswith("data: ") and f"organization/{name}" in line:
                    return json.loads(line[6:])["type"]

    async with httpx.AsyncClient(base_url=platform.url, timeout=20) as client:
        listeners = [asyncio.create_task(hear(client)) for _ in range(5)]
        await asyncio.sleep(0.3)
        body = {"type": "organization.register", "stream": name, "data": {"name": "x"}}
        await client.post("/api/v1/commands", json=body)
        heard = await asyncio.wait_for(asyncio.gather(*listeners), 10)
    assert heard == ["organization.registered"] * 5


async def test_live_events_over_a_websocket(platform):
    name = fresh("org")
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{platform.url}/api/v1/events/ws?category=organization") as socket,
    ):
        await asyncio.sleep(0.3)
        body = {"type": "organization.register", "stream": name, "data": {"name": "x"}}
        await session.post(f"{platform.url}/api/v1/commands", json=body)
        while True:
            event = await socket.receive_json(timeout=10)
            if event["stream"] == f"organization/{name}":
                break
    assert event["type"] == "organization.registered"


@pytest.mark.parametrize("query", ["after=yesterday", "category=*", "type=a b"])
async def test_a_websocket_with_a_wrong_query_is_closed_with_the_reason(platform, query):
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{platform.url}/api/v1/events/ws?{query}") as ws:
        message = await ws.receive(timeout=10)
        assert message.type is aiohttp.WSMsgType.CLOSE
        assert (message.data, message.extra[: len(query) // 2]) == (1008, query.replace("=", ": '")[: len(query) // 2])


async def test_a_websocket_resumes_where_it_was_told(platform):
    async with httpx.AsyncClient(base_url=platform.url) as client, aiohttp.ClientSession() as session:
        name = fresh("org")
        body = {"type": "organization.register", "stream": name, "data": {"name": "x"}}
        first = (await client.post("/api/v1/commands", json=body)).json()["position"]
        for number in range(5):
            change = {"type": "organization.describe", "stream": name, "data": {"description": str(number)}}
            await client.post("/api/v1/commands", json=change)
        async with session.ws_connect(f"{platform.url}/api/v1/events/ws?after={first}&category=organization") as ws:
            heard = [await ws.receive_json(timeout=10) for _ in range(5)]
    assert [event["data"]["description"] for event in heard] == ["0", "1", "2", "3", "4"]


def subscribers(http):
    return float(re.search(r"^sagacity_live_subscribers (.*)$", http.get("/metrics").text, re.MULTILINE)[1])


async def wait_for(condition, timeout=10.0):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        await asyncio.sleep(0.05)


async def test_many_subscribers_shut_nobody_out_and_leave_nothing_behind(platform, http):
    """More than the 128 connections that the server takes unless it is told otherwise."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        sockets = [await session.ws_connect(f"{platform.url}/api/v1/events/ws") for _ in range(100)]
        streams = [await session.get(f"{platform.url}/api/v1/events/stream") for _ in range(100)]
        await wait_for(lambda: subscribers(http) == 200)
        assert send(http, "organization.register", fresh(), {"name": "x"}).status_code == 201
        for socket in sockets:
            await socket.close()
        for stream in streams:
            stream.close()
    send(http, "organization.register", fresh(), {"name": "x"})
    await wait_for(lambda: subscribers(http) == 0)


def resident(pid):
    """Megabytes."""
    with open(f"/proc/{pid}/status") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read())[1]) / 1024


async def fill(platform, events, size):
    """At least so many events, each with `size` bytes of text."""
    async with aiohttp.ClientSession() as session:

        async def some(count):
            for _ in range(count):
                body = {"type": "organization.register", "data": {"name": "x", "settings": {"a": "y" * size}}}
                async with session.post(f"{platform.url}/api/v1/commands", json=body) as answer:
                    assert answer.status == 201

        await asyncio.gather(*(some(events // 2 // 50) for _ in range(50)))


async def test_five_thousand_large_events_stream_in_bounded_memory(platform, http):
    """To a reader that takes its time too: what it does not take is not held for it."""
    await fill(platform, 5_000, 24_000)
    pid = platform.pid("roles")
    before, most, taken, positions = resident(pid), 0.0, 0, []
    async with aiohttp.ClientSession() as session:
        reader = await session.get(f"{platform.url}/api/v1/events", headers={"Accept": "application/x-ndjson"})
        reader.content._high_water = 64 * 1024
        buffer = b""
        async for chunk in reader.content.iter_chunked(1024 * 1024):
            taken += len(chunk)
            lines = (buffer + chunk).split(b"\n")
            buffer = lines.pop()
            positions += [int(re.match(rb'{"position":(\d+),', line)[1]) for line in lines]
            most = max(most, resident(pid))
            if len(positions) < 1_000:
                await asyncio.sleep(0.1)
    assert buffer == b""
    assert len(positions) >= 5_000
    assert positions == list(range(1, len(positions) + 1))
    assert taken > 120_000_000
    assert most - before < 48, f"{before:.0f} MB → {most:.0f} MB"


async def noted(store, *texts, id="a", category="thing"):
    stream = StreamId(category, id)
    version = len(await store.load(stream))
    return await store.append(stream, version, [Noted(text) for text in texts], CONTEXT)


@pytest.fixture
async def live(nats_servers):
    async with fresh_log(nats_servers) as log:
        store = await log.store()
        live = Live(store)
        running = asyncio.create_task(live.run())
        yield store, live
        running.cancel()
        await asyncio.wait({running})


async def test_a_subscriber_that_comes_before_the_feed_hears_only_what_is_new(nats_servers):
    async with fresh_log(nats_servers) as log:
        store = await log.store()
        await noted(store, "old")
        live = Live(store)
        hearing = asyncio.create_task(anext(live.events(None, EventFilter())))
        await asyncio.sleep(0)
        running = asyncio.create_task(live.run())
        await wait_for(lambda: live.subscribers == 1)
        await noted(store, "new")
        batch = await asyncio.wait_for(hearing, 5)
        running.cancel()
        await asyncio.wait({running})
    assert [event.position for event in batch.events] == [2]


async def test_a_slow_subscriber_is_caught_up_from_the_log(live, monkeypatch):
    """What is no longer at hand is read from the log: late, and whole."""
    monkeypatch.setattr("api.live._AT_HAND", 10)
    store, feed = live
    await noted(store, "first")
    await wait_for(lambda: feed.position == 1)
    heard = []
    async for batch in feed.events(0, EventFilter()):
        heard += [event.position for event in batch.events]
        if len(heard) == 1:
            for number in range(60):
                await noted(store, f"{number}")
            await wait_for(lambda: feed.position == 61)
        if len(heard) == 61:
            break
    assert heard == list(range(1, 62))


async def test_large_events_are_at_hand_only_as_far_as_memory_allows(live, monkeypatch):
    monkeypatch.setattr("api.live._AT_HAND_BYTES", 50_000)
    store, feed = live
    for _ in range(10):
        await noted(store, "x" * 20_000)
    await wait_for(lambda: feed.position == 10)
    assert len(feed._at_hand) == 2
    heard = []
    async for batch in feed.events(0, EventFilter()):
        heard += [event.position for event in batch.events]
        if len(heard) == 10:
            break
    assert heard == list(range(1, 11))


async def test_a_filter_that_matches_nothing_still_gets_signs_of_life_with_their_position(live):
    """So that a reconnect does not look at everything again."""
    store, feed = live
    for number in range(5):
        await noted(store, str(number))
    signs = feed.events(0, EventFilter(category="other"), heartbeat=0.2)
    await wait_for(lambda: feed.position == 5)
    sign = await asyncio.wait_for(anext(signs), 5)
    assert (list(sign.events), sign.position) == ([], 5)
    await signs.aclose()
    assert feed.subscribers == 0
