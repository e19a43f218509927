"""Whatever is wrong with a request: a clear problem that names every fault, and nothing on the record."""

import json

import pytest

from tests.api.calls import fresh, register, send, stack_with

JSON = {"Content-Type": "application/json"}
GOOD = {"type": "organization.register", "data": {"name": "x"}}


def body(**changes):
    return json.dumps({**GOOD, **changes}).encode()


MALFORMED = [
    ("no body", b"", 400, "truncated"),
    ("cut off", b'{"type": "organization.reg', 400, "truncated"),
    ("no JSON at all", b"hello", 400, "malformed"),
    ("bad UTF-8", b'{"type": "organization.register", "data": {"name": "\xff\xfe"}}', 422, "utf-8"),
    ("a list", b"[]", 422, "Expected `object`"),
    ("a number", b"7", 422, "Expected `object`"),
    ("no type", b'{"data": {}}', 422, "missing required field `type`"),
    ("a type that is a number", body(type=7), 422, "Expected `str`, got `int`"),
    ("an unknown field", body(colour="red"), 422, "unknown field `colour`"),
    ("a version that is text", body(expected_version="1"), 422, "Expected `int | null`"),
    ("an id that is a number", body(id=7), 422, "Expected `str | null`"),
    ("over a megabyte", body(data={"name": "x", "description": "y" * 1_100_000}), 413, "at most 1000000"),
    ("an unknown command", body(type="organization.destroy"), 422, "there is no command 'organization.destroy'"),
    ("an internal command", body(type="deployment.complete"), 422, "there is no command 'deployment.complete'"),
    ("an id with a blank", body(id="a b"), 422, "/id: must be 1 to 128"),
    ("an id with a dot", body(id="a.b"), 422, "/id: must be 1 to 128"),
    ("an id with a wildcard", body(id="a>"), 422, "/id: must be 1 to 128"),
    ("an empty id", body(id=""), 422, "/id: must be 1 to 128"),
    ("an id of 129 letters", body(id="a" * 129), 422, "/id: must be 1 to 128"),
    ("a stream that climbs", body(stream={"id": "../../etc"}), 422, "/stream/id: must be"),
    ("a stream with NUL", body(stream={"id": "a\0b"}), 422, "/stream/id: must be"),
    ("a stream of another category", body(stream={"category": "stack", "id": "a"}), 422, "/stream/category"),
    ("a version below zero", body(expected_version=-1), 422, "/expected_version: must be 0 or more"),
    ("data that is a list", body(data=[]), 422, "/data: [] is not of type 'object'"),
    ("data without its fields", body(data={}), 422, "/data: 'name' is a required property"),
    ("data with unknown fields", body(data={"name": "x", "shoe": 1}), 422, "'shoe' was unexpected"),
    ("a name that is a number", body(data={"name": 1}), 422, "/data/name: 1 is not of type 'string'"),
    ("an empty name", body(data={"name": ""}), 422, "/data/name: '' should be non-empty"),
    ("a name too long", body(data={"name": "x" * 121}), 422, "/data/name"),
    ("settings that are no text", body(data={"name": "x", "settings": {"a": 1}}), 422, "/data/settings/a"),
]


@pytest.mark.parametrize(("raw", "status", "text"), [case[1:] for case in MALFORMED], ids=[c[0] for c in MALFORMED])
def test_a_body_that_is_no_command(http, raw, status, text):
    before = position(http)
    answer = http.post("/api/v1/commands", content=raw, headers=JSON)
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("application/problem+json")
    problem = answer.json()
    assert problem["status"] == status
    assert text.lower() in problem["detail"].lower()
    assert "Traceback" not in answer.text
    assert position(http) == before


def position(http):
    return http.get("/api/v1/projections").json()[0]["head"]


def test_every_fault_is_named_at_once(http):
    raw = body(id="?", stream={"id": ".."}, expected_version=-3, data={"name": 1, "settings": [], "x": 1})
    faults = http.post("/api/v1/commands", content=raw, headers=JSON).json()["faults"]
    assert {fault["where"] for fault in faults} == {
        "/id",
        "/stream/id",
        "/expected_version",
        "/data",
        "/data/name",
        "/data/settings",
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [("X-Actor", "x" * 201), ("X-Correlation-Id", "x" * 201), ("X-Tenant", "a\tb")],
)
def test_a_header_that_cannot_be_recorded(http, name, value):
    answer = http.post("/api/v1/commands", json=GOOD, headers={name: value})
    assert answer.status_code == 422
    assert answer.json()["faults"][0]["where"] == f"header {name.lower()}"


def test_a_malformed_traceparent_counts_as_none(http):
    answer = http.post("/api/v1/commands", json=GOOD, headers={"traceparent": "00-zz-1-x"})
    assert answer.status_code == 201


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/nowhere", 404, ""),
        ("/api/v1/nowhere", 404, ""),
        ("/api/v1/organizations/nobody", 404, "nothing called 'nobody'"),
        ("/api/v1/organizations/..%2f..%2fetc", 404, ""),
        ("/api/v1/organizations/a%00b", 404, ""),
        ("/api/v1/organizations/a.b", 404, "nothing called 'a.b'"),
        ("/api/v1/organizations/%ff", 404, ""),
        ("/api/v1/organizations/nobody/events", 404, "nothing called 'nobody'"),
        ("/api/v1/deployments/nobody/logs", 404, "nothing called 'nobody'"),
        ("/api/v1/deployments/nobody/timeline", 404, "nothing called 'nobody'"),
        ("/api/v1/commands/never", 404, "no command 'never'"),
        ("/api/v1/organizations?limit=0", 422, "limit"),
        ("/api/v1/organizations?limit=501", 422, "limit"),
        ("/api/v1/organizations?limit=x", 422, "limit"),
        ("/api/v1/organizations?cursor=garbage", 422, "cursor: is none of ours"),
        ("/api/v1/organizations?colour=red", 422, "colour: there is no such filter"),
        ("/api/v1/organizations?created_at_after=yesterday", 422, "is no RFC 3339 time"),
        ("/api/v1/organizations?min_position=-1", 422, "min_position"),
        ("/api/v1/organizations?min_position=999999999&wait=0.1", 504, "has reached position"),
        ("/api/v1/organizations?wait=31&min_position=1", 422, "wait"),
        ("/api/v1/organizations/acme?as_of=yesterday", 422, "neither a position nor an RFC 3339 time"),
        ("/api/v1/events?after=yesterday", 422, "neither a position nor an RFC 3339 time"),
        ("/api/v1/events?limit=0", 422, "limit"),
        ("/api/v1/events?limit=1001", 422, "limit"),
    ],
)
def test_a_query_that_cannot_be_answered(http, path, status, text):
    answer = http.get(path)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert text in answer.text
    assert "Traceback" not in answer.text


def test_a_method_that_is_not_there(http):
    answer = http.delete("/api/v1/events")
    assert answer.status_code == 405
    assert answer.json()["type"] == "/problems/this-resource-does-not-take-that-method"


def test_a_projection_that_is_not_there(http):
    assert http.post("/api/v1/projections/nowhere/rebuild").status_code == 404


def test_a_duplicate_id_gets_the_first_outcome(http):
    id, name = fresh("c"), fresh("org")
    first = send(http, "organization.register", name, {"name": "A"}, id=id)
    again = send(http, "organization.register", fresh(), {"name": "B"}, id=id)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == {**first.json(), "duplicate": True}


def test_a_wrong_version_is_refused_and_recorded(http):
    name, _ = register(http)
    answer = send(http, "organization.describe", name, {"description": "x"}, expected_version=7)
    assert answer.status_code == 409
    assert answer.json()["type"] == "/problems/version-conflict"
    recorded = http.get(f"/api/v1/commands/{answer.json()['command_id']}").json()
    assert recorded["refusal"] == "version_conflict"


def test_a_refusal_is_a_problem_with_a_business_name_however_often_it_is_asked(http):
    name, _ = register(http)
    first = send(http, "organization.register", name, {"name": "B"}, id=f"{name}-again")
    again = send(http, "organization.register", name, {"name": "B"}, id=f"{name}-again")
    assert first.status_code == again.status_code == 409
    assert first.json()["type"] == "/problems/organization-already-registered"
    assert again.json() == {**first.json(), "duplicate": True}


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ({}, "/specversion: Field required; /id: Field required; /source: Field required; /type: Field required"),
        ({"specversion": "0.3", "id": "1", "source": "s", "type": "t"}, "/specversion: Input should be '1.0'"),
        ({"specversion": "1.0", "id": "", "source": "s", "type": "t"}, "/id: String should have at least 1"),
        ({"specversion": "1.0", "id": "1", "source": "s", "type": "t", "time": "noon"}, "/time: Input should be"),
    ],
)
def test_an_event_from_outside_that_is_none_gets_its_verdict(http, raw, reason):
    answer = http.post("/api/v1/events", json=raw, headers={"Content-Type": "application/cloudevents+json"})
    assert answer.status_code == 202
    (verdict,) = answer.json()
    assert not verdict["accepted"]
    assert verdict["reason"].startswith(reason)


@pytest.mark.parametrize("raw", [b"", b"[", b"\xff", b'"text"'])
def test_events_from_outside_that_are_no_json_objects(http, raw):
    answer = http.post("/api/v1/events", content=raw, headers={"Content-Type": "application/cloudevents+json"})
    assert answer.status_code == 400


def ended(http, id):
    for _ in range(300):
        answer = http.get(f"/api/v1/deployments/{id}")
        if answer.status_code == 200 and answer.json()["status"] in ("completed", "rolled_back", "failed"):
            return answer.json()
    raise AssertionError(f"{id} does not end")


def test_a_program_that_is_not_there_rolls_the_deployment_back_with_the_reason(http):
    stack, environment = stack_with(http, "1.0", program="/no/such/program")
    id = fresh("d")
    request = {"stack_id": stack, "environment_id": environment, "version": "1.0"}
    assert send(http, "deployment.request", id, request).status_code == 201
    row = ended(http, id)
    assert row["status"] == "rolled_back"
    assert "/no/such/program" in row["reason"]


def test_an_unknown_kind_of_target_rolls_the_deployment_back_with_the_reason(http):
    stack, environment = stack_with(http, "1.0")
    send(http, "environment.add_target", environment, {"target": {"name": "moon", "kind": "rocket"}})
    id = fresh("d")
    request = {"stack_id": stack, "environment_id": environment, "version": "1.0", "target": "moon"}
    assert send(http, "deployment.request", id, request).status_code == 201
    assert "there is no target kind 'rocket'" in ended(http, id)["reason"]
