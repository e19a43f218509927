"""What the API promises: positions, links, actions, history, live events, events from outside, probes."""

import asyncio
import json
import time

import httpx
import pytest

from eventstore.connection import connect_to
from projections.read_models import READ_MODELS
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


def test_a_command_may_wait_until_it_is_visible(http):
    for _ in range(10):
        name = fresh("org")
        body = {"type": "organization.register", "stream": name, "data": {"name": "x"}}
        answer = http.post("/api/v1/commands", json=body, headers={"Prefer": "respond-async, wait=5"})
        assert answer.status_code == 201
        assert answer.headers["Preference-Applied"] == "wait=5"
        assert http.get(f"/api/v1/organizations/{name}").status_code == 200


def test_an_idempotency_key_stands_for_the_id(http):
    name, key = fresh("org"), fresh("key")
    body = {"type": "organization.register", "stream": name, "data": {"name": "x"}}
    first, again = (http.post("/api/v1/commands", json=body, headers={"Idempotency-Key": key}) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == {**first.json(), "duplicate": True}
    assert first.json()["command_id"] == key


async def test_a_command_sent_many_times_at_once_happens_once(platform):
    """Every caller gets the one outcome, whoever was first."""
    name, id = fresh("org"), fresh("c")
    body = {"id": id, "type": "organization.register", "stream": name, "data": {"name": "x"}}
    async with httpx.AsyncClient(base_url=platform.url, timeout=30) as client:
        answers = await asyncio.gather(*(client.post("/api/v1/commands", json=body) for _ in range(40)))
        history = (await client.get(f"/api/v1/organizations/{name}/events")).json()["items"]
    assert sorted(answer.status_code for answer in answers) == [200] * 39 + [201]
    assert len({answer.json()["position"] for answer in answers}) == 1
    assert len(history) == 1


async def test_of_many_who_want_the_same_version_one_gets_it(platform):
    name = fresh("org")
    body = {"type": "organization.register", "stream": name, "data": {"name": "x"}}
    async with httpx.AsyncClient(base_url=platform.url, timeout=30) as client:
        await client.post("/api/v1/commands", json=body)
        change = {"type": "organization.describe", "stream": name, "expected_version": 1}
        wanted = [{**change, "data": {"description": str(number)}} for number in range(20)]
        answers = await asyncio.gather(*(client.post("/api/v1/commands", json=each) for each in wanted))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 19
    assert {answer.json()["type"] for answer in answers if answer.status_code == 409} == {"/problems/version-conflict"}


def test_links_survive_whatever_stands_in_a_filter(http):
    name, (owner, _) = "a&b=c+d e%", register(http)
    for _ in range(3):
        last = send(http, "stack.register", fresh("stack"), {"name": name, "organization_id": owner}).json()
    query = {"name": name, "limit": 2, "min_position": last["position"]}
    page = http.get("/api/v1/stacks", params=query).json()
    assert [item["name"] for item in http.get(page["_links"]["next"]).json()["items"]] == [name]


def test_every_stream_has_its_history_where_a_command_says(http):
    """Also those of projections, commands and events from outside."""
    rebuilt = http.post("/api/v1/projections/organizations/rebuild").json()
    for link in (*rebuilt["_links"].values(), f"/api/v1/commands/{rebuilt['command_id']}/events"):
        assert http.get(link).status_code == 200, link


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
    owner, _ = register(http)
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


def test_a_pretty_printed_command_stands_on_one_line_of_the_trail(http):
    name, talk = fresh("org"), fresh("talk")
    body = json.dumps({"type": "organization.register", "stream": name, "data": {"name": "x"}}, indent=4)
    headers = {"Content-Type": "application/json", "X-Correlation-Id": talk}
    assert http.post("/api/v1/commands", content=body, headers=headers).status_code == 201
    trail = http.get("/api/v1/events", params={"correlation_id": talk}, headers={"Accept": "application/x-ndjson"})
    assert [json.loads(line)["correlationid"] for line in trail.text.splitlines()] == [talk, talk]


def test_a_limit_counts_for_ndjson_too(http):
    register(http)
    answer = http.get("/api/v1/events", params={"limit": 2}, headers={"Accept": "application/x-ndjson"})
    assert len(answer.text.splitlines()) == 2


def test_all_of_the_trail_as_ndjson(http):
    for _ in range(30):
        register(http)
    with http.stream("GET", "/api/v1/events", headers={"Accept": "application/x-ndjson"}) as answer:
        assert answer.headers["content-type"].startswith("application/x-ndjson")
        positions = [json.loads(line)["position"] for line in answer.iter_lines()]
    assert positions == list(range(1, len(positions) + 1))
    assert len(positions) >= 60


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
            {"id": talk, "subject": "in.ci.build-finished"}
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


def test_an_event_in_binary_mode(http):
    id = fresh("binary")
    headers = {"ce-specversion": "1.0", "ce-id": id, "ce-source": "/ci", "ce-type": "build.finished"}
    answer = http.post("/api/v1/events", json={"ok": True}, headers=headers)
    assert answer.json() == [{"id": id, "subject": "in.ci.build-finished"}]
    for _ in range(200):
        found = [item for item in recorded(http, type="inbound.received") if item["data"]["id"] == id]
        if found:
            break
        time.sleep(0.05)
    assert found[0]["data"]["document"]["data"] == {"ok": True}


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
        listed = (await client.get("/api/v1/inbound", params={"status": "parked", "limit": 200})).json()["items"]
        (item,) = [item for item in listed if item["id"] == stream]
        assert "/id: Field required" in item["reason"]
        assert (await client.get(item["_links"]["self"])).json()["status"] == "parked"
        retry = item["_actions"]["retry"]
        answer = await client.post(retry["href"], json=retry["body"])
        assert answer.status_code == 201
        assert (await client.get(answer.json()["_links"]["resource"])).status_code == 200
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


def test_a_command_without_a_trace_begins_one(http):
    name, _ = register(http)
    (event,) = http.get(f"/api/v1/organizations/{name}/events").json()["items"]
    version, trace, span, flags = event["traceparent"].split("-")
    assert (version, len(trace), len(span), len(flags)) == ("00", 32, 16, 2)


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
    assert set(health["dependencies"]) == {"log", "read_models", "projections", "live", "releases"}
    for probe in ("live", "ready", "startup"):
        assert http.get(f"/health/{probe}").status_code == 200
    metrics = http.get("/metrics").text
    assert 'sagacity_commands_total{outcome="accepted",type="organization.register"}' in metrics
    assert 'sagacity_projection_lag_events{projection="deployments"}' in metrics
    assert 'sagacity_http_requests_total{method="GET",route="/health/ready",status="200"}' in metrics
    assert "sagacity_command_seconds_bucket" in metrics
    assert "sagacity_live_subscribers 0.0" in metrics


def test_projections_show_lag_and_rebuild(http):
    names = {row["name"] for row in http.get("/api/v1/projections").json()}
    assert names == {model.name for model in READ_MODELS}
    assert http.post("/api/v1/projections/stacks/rebuild").status_code == 202
    for _ in range(200):
        row = next(row for row in http.get("/api/v1/projections").json() if row["name"] == "stacks")
        if row["rebuild_report"]:
            break
        time.sleep(0.05)
    assert all(table["same"] for table in row["rebuild_report"])
