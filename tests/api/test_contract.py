"""What the API promises: positions, links, actions, history, live events, events from outside, probes."""

import asyncio
import json
import time

import aiohttp
import httpx
import jsonschema
import msgspec
import pytest

from domain.contexts import DECIDERS
from eventstore.connection import connect_to
from handlers.routes import routes_of
from tests.api.calls import fresh, register, send, stack_with


def test_an_accepted_command_answers_with_its_events_and_where_to_go(http):
    name, answer = register(http)
    assert answer["outcome"] == "accepted"
    assert answer["stream"] == {"category": "organization", "id": name}
    assert answer["version"] == 1
    assert [event["type"] for event in answer["events"]] == ["organization.registered"]
    for link in answer["_links"].values():
        assert http.get(link, params={"min_position": answer["position"]}).status_code == 200, link


def test_a_command_in_many_lines_is_one_line_of_the_trail(http):
    name = fresh("org")
    raw = b'{"type": "organization.register", "stream": "%s", "data": {\n  "name":\r\n "Lines"}}' % name.encode()
    answer = http.post("/api/v1/commands", content=raw).json()
    since = {"after": answer["position"] - 2}
    trail = http.get("/api/v1/events", params=since, headers={"Accept": "application/x-ndjson"})
    types = [json.loads(line)["type"] for line in trail.text.splitlines()]
    assert types[:2] == ["organization.registered", "command.accepted"]


def test_min_position_reads_what_was_just_written(http):
    for _ in range(20):
        name, answer = register(http)
        row = http.get(f"/api/v1/organizations/{name}", params={"min_position": answer["position"]})
        assert row.status_code == 200
        assert int(row.headers["X-Position"]) >= answer["position"]


@pytest.mark.parametrize(
    "path", ["/health", "/api/v1/events", "/api/v1/organizations", "/nowhere", "/api/v1/projections"]
)
def test_every_answer_carries_a_position(http, path):
    register(http)
    assert int(http.get(path).headers["X-Position"]) > 0


def test_a_resource_offers_what_makes_sense_now(http):
    name, answer = register(http)
    row = http.get(f"/api/v1/organizations/{name}", params={"min_position": answer["position"]}).json()
    action = row["_actions"]["describe"]
    assert (action["href"], action["method"]) == ("/api/v1/commands", "POST")
    assert action["schema"]["properties"].keys() == {"description", "settings"}
    action["body"]["data"]["description"] = "as offered"
    assert http.post(action["href"], json=action["body"]).status_code == 201


def test_a_resource_as_it_was(http):
    name, first = register(http, description="old")
    moment = http.get(f"/api/v1/commands/{first['command_id']}").json()["time"]
    time.sleep(0.01)
    send(http, "organization.describe", name, {"description": "new"})
    for past in (first["position"], moment):
        row = http.get(f"/api/v1/organizations/{name}", params={"as_of": past})
        assert row.json()["description"] == "old"
        assert row.json()["_actions"] == {}
    assert http.get(f"/api/v1/organizations/{name}", params={"as_of": 1}).status_code == 404


def test_a_history_is_oldest_first_and_says_who_and_why(http):
    name, first = register(http)
    headers = {"X-Correlation-Id": "talk", "X-Causation-Id": "because", "X-Actor": "bob"}
    body = {"type": "organization.describe", "stream": name, "data": {"description": "x"}}
    second = http.post("/api/v1/commands", json=body, headers=headers).json()
    items = http.get(f"/api/v1/organizations/{name}/events").json()["items"]
    assert [item["type"] for item in items] == ["organization.registered", "organization.described"]
    assert [item["actor"] for item in items] == ["ann", "bob"]
    assert [item["causationid"] for item in items] == [first["command_id"], second["command_id"]]
    assert items[1]["correlationid"] == "talk"
    assert items[1]["previoushash"]
    page = http.get(f"/api/v1/organizations/{name}/events", params={"limit": 1}).json()
    assert len(http.get(page["_links"]["next"]).json()["items"]) == 1


def test_lists_are_filtered_and_paged(http):
    stack, _ = stack_with(http)
    owner = fresh("owner")
    names = [fresh("stack") for _ in range(5)]
    for name in names:
        last = send(http, "stack.register", name, {"name": name, "organization_id": owner}).json()["position"]
    found, link = [], f"/api/v1/stacks?organization_id={owner}&limit=2&min_position={last}"
    while link:
        page = http.get(link).json()
        found += [item["id"] for item in page["items"]]
        link = page["_links"].get("next")
    assert found == list(reversed(names))
    assert stack not in found


def test_the_audit_trail_is_filtered_and_paged(http):
    talk = fresh("talk")
    for _ in range(3):
        http.post(
            "/api/v1/commands",
            json={"type": "organization.register", "data": {"name": "x"}},
            headers={"X-Correlation-Id": talk},
        )
    trail = http.get("/api/v1/events", params={"correlation_id": talk}).json()["items"]
    assert len(trail) == 6
    assert [event["position"] for event in trail] == sorted(event["position"] for event in trail)
    only = http.get("/api/v1/events", params={"correlation_id": talk, "category": "organization", "limit": 2}).json()
    assert {event["type"] for event in only["items"]} == {"organization.registered"}
    assert len(http.get(only["_links"]["next"]).json()["items"]) == 1
    since = http.get("/api/v1/events", params={"after": trail[3]["position"], "correlation_id": talk}).json()["items"]
    assert [event["id"] for event in since] == [event["id"] for event in trail[4:]]
    until = http.get("/api/v1/events", params={"until": trail[0]["time"], "correlation_id": talk}).json()["items"]
    assert trail[0]["id"] in [event["id"] for event in until]
    assert trail[5]["id"] not in [event["id"] for event in until]


def test_all_of_the_trail_as_ndjson(http):
    for _ in range(30):
        register(http)
    with http.stream("GET", "/api/v1/events", headers={"Accept": "application/x-ndjson"}) as answer:
        assert answer.headers["content-type"].startswith("application/x-ndjson")
        positions = [json.loads(line)["position"] for line in answer.iter_lines()]
    assert positions == list(range(1, len(positions) + 1))
    assert len(positions) >= 60


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


def recorded(http, **filters):
    for _ in range(200):
        items = http.get("/api/v1/events", params={**filters, "limit": 1000}).json()["items"]
        if items:
            return items
        time.sleep(0.05)
    raise AssertionError(f"nothing on the record: {filters}")


CLOUD = {"Content-Type": "application/cloudevents+json"}


def test_an_event_from_outside_is_put_on_the_record_once(http):
    talk = fresh("build")
    event = {"specversion": "1.0", "id": talk, "source": "/ci", "type": "build.finished", "data": {"ok": True}}
    for _ in range(3):
        assert http.post("/api/v1/events", json=event, headers=CLOUD).json() == [
            {"id": talk, "accepted": True, "subject": "in.ci.build-finished"}
        ]
    marker = {**event, "id": talk + "-last"}
    http.post("/api/v1/events", json=marker, headers=CLOUD)
    for _ in range(200):
        received = recorded(http, type="inbound.received")
        ids = [item["data"]["id"] for item in received]
        if marker["id"] in ids:
            break
        time.sleep(0.05)
    assert ids.count(talk) == 1
    assert next(item for item in received if item["data"]["id"] == talk)["data"]["document"] == event


def test_an_event_from_outside_may_be_a_command(http):
    name = fresh("org")
    event = {
        "specversion": "1.0",
        "id": name,
        "source": "/ci",
        "type": "organization.register",
        "subject": name,
        "data": {"name": "From outside"},
    }
    http.post("/api/v1/events", json=[event, event], headers={"Content-Type": "application/cloudevents-batch+json"})
    for _ in range(200):
        history = http.get(f"/api/v1/organizations/{name}/events")
        if history.status_code == 200:
            break
        time.sleep(0.05)
    (registered,) = history.json()["items"]
    assert registered["actor"] == "/ci"


async def test_a_faulty_event_is_parked_with_its_reason_and_can_be_retried(platform):
    talk = fresh("faulty")
    nats_url = (platform.home / "run" / "nats_url").read_text()
    connection = await connect_to(nats_url)
    await connection.publish(f"in.ci.{talk}", b'{"specversion": "1.0"}')
    await connection.flush()
    async with httpx.AsyncClient(base_url=platform.url, timeout=20) as client:
        parked = await _parked(client, talk, 1)
        assert "/id: Field required" in parked["data"]["reason"]
        stream = parked["stream"].partition("/")[2]
        answer = await client.post("/api/v1/commands", json={"type": "inbound.retry", "stream": stream})
        assert answer.status_code == 201
        await _parked(client, talk, 2)
    await connection.close()


async def _parked(client, talk, times):
    for _ in range(200):
        items = (await client.get("/api/v1/events", params={"type": "inbound.parked", "limit": 1000})).json()["items"]
        mine = [item for item in items if item["data"]["subject"] == f"in.ci.{talk}"]
        if len(mine) == times:
            return mine[-1]
        await asyncio.sleep(0.05)
    raise AssertionError("not parked")


async def test_a_command_over_nats_ends_in_the_same_handler(platform):
    connection = await connect_to((platform.home / "run" / "nats_url").read_text())
    name = fresh("org")

    async def ask(type, body, **headers):
        reply = await connection.request(f"cmd.{type}", msgspec.json.encode(body), timeout=10, headers=headers or None)
        return json.loads(reply.data)

    body = {"id": name, "stream": {"id": name}, "data": {"name": "By NATS"}}
    first = await ask("organization.register", body, **{"X-Actor": "robot"})
    assert (first["status"], first["outcome"], first["version"]) == (201, "accepted", 1)
    again = await ask("organization.register", body)
    assert (again["status"], again["duplicate"]) == (200, True)
    refused = await ask("organization.register", {**body, "id": name + "-2"})
    assert (refused["status"], refused["type"]) == (409, "/problems/organization-already-registered")
    invalid = await ask("organization.register", {"data": {"name": 1, "x": 2}})
    assert (invalid["status"], len(invalid["faults"])) == (422, 2)
    assert (await ask("organization.register", {"type": "stack.register"}))["status"] == 422
    async with httpx.AsyncClient(base_url=platform.url) as client:
        history = (await client.get(f"/api/v1/organizations/{name}/events")).json()["items"]
        assert history[0]["actor"] == "robot"
        assert (await client.get(f"/api/v1/commands/{name}")).json()["outcome"] == "accepted"
    await connection.close()


def test_a_trace_goes_through_to_the_record(http):
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    name = fresh("org")
    body = {"type": "organization.register", "stream": name, "data": {"name": "x"}}
    http.post("/api/v1/commands", json=body, headers={"traceparent": parent})
    (event,) = http.get(f"/api/v1/organizations/{name}/events").json()["items"]
    assert event["traceparent"].split("-")[1] == parent.split("-")[1]


def test_probes_and_metrics(http):
    register(http)
    health = http.get("/health").json()
    assert health["status"] == "ok"
    assert set(health["dependencies"]) == {"log", "read_models", "projections"}
    for probe in ("live", "ready", "startup"):
        assert http.get(f"/health/{probe}").status_code == 200
    metrics = http.get("/metrics").text
    assert 'sagacity_commands_total{outcome="accepted",type="organization.register"}' in metrics
    assert 'sagacity_projection_lag_events{projection="deployments"}' in metrics


def test_projections_show_lag_and_rebuild(http):
    names = {row["name"] for row in http.get("/api/v1/projections").json()}
    assert names == {"organizations", "environments", "stacks", "deployments", "sagas", "commands"}
    assert http.post("/api/v1/projections/stacks/rebuild").status_code == 202
    for _ in range(200):
        row = next(row for row in http.get("/api/v1/projections").json() if row["name"] == "stacks")
        if row["rebuild_report"]:
            break
        time.sleep(0.05)
    assert all(table["same"] for table in row["rebuild_report"])


def test_every_operation_is_documented_with_examples_that_are_valid(http):
    schema = http.get("/schema/openapi.json").json()
    assert schema["openapi"].startswith("3.1")
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            assert operation.get("summary"), f"{method} {path}"
            assert "application/problem+json" in operation["responses"]["default"]["content"]
            bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
            for media in (media for body in bodies for media in body.get("content", {}).values()):
                examples = [each["value"] for each in media.get("examples", {}).values()]
                for example in examples + ([media["example"]] if "example" in media else []):
                    root = {**media["schema"], "components": schema["components"]}
                    jsonschema.Draft202012Validator(root).validate(example)


def test_every_public_command_is_documented_with_its_fields(http):
    schema = http.get("/schema").json()
    documented = schema["paths"]["/api/v1/commands"]["post"]["requestBody"]["content"]["application/json"]["examples"]
    public = {name for name, route in routes_of(DECIDERS).items() if not route.internal}
    assert documented.keys() == public
    for name in public:
        assert schema["components"]["schemas"][f"command.{name}"]["properties"]["data"]["type"] == "object"
