"""Whatever is wrong with a request: a clear problem that names every fault, and nothing on the record."""

import json
import time

import pytest

from tests.api.calls import fresh, register, send, stack_with

JSON = {"Content-Type": "application/json"}
GOOD = {"type": "organization.register", "data": {"name": "x"}}


def body(**changes):
    return json.dumps({**GOOD, **changes}).encode()


DEEP = b'{"type": "organization.register", "data": ' + b"[" * 5000 + b"]" * 5000 + b"}"
ID = "must be 1 to 128 letters, digits, _ or -"

# what is wrong, the body, status, problem, what the detail says
MALFORMED = [
    ("no body", b"", 400, "malformed", "the body is empty (byte 0)"),
    ("cut off", b'{"type": "organization.reg', 400, "malformed", "unterminated string starting at (byte 9)"),
    ("cut off after multi-byte text", '{"type": "ü", "data": {'.encode(), 400, "malformed", "(byte 24)"),
    ("no JSON at all", b"hello", 400, "malformed", "JSON is malformed: invalid character (byte 0)"),
    ("no JSON after a wrong type", b"[1, x", 400, "malformed", "(byte 4)"),
    ("more than one document", b'{"type": "a.b"} {}', 400, "malformed", "trailing characters (byte 17)"),
    ("bad UTF-8", b'{"type": "organization.register", "data": {"name": "\xff"}}', 400, "malformed", "byte 52 (0xff)"),
    ("bad UTF-8 in the type", b'{"type": "\xc3"}', 400, "malformed", "byte 10 (0xc3) is not UTF-8"),
    ("half a surrogate pair", b'{"type": "a", "data": {"a": "\\ud800"}}', 400, "malformed", "surrogate pair (byte 29)"),
    ("NaN", b'{"type": "organization.register", "data": {"name": NaN}}', 400, "malformed", "(byte 51)"),
    ("nested without end", DEEP, 400, "malformed", "nested too deeply"),
    ("over a megabyte", body(data={"name": "x", "description": "y" * 1_100_000}), 413, "too-large", "at most 1000000"),
    ("five megabytes", body(data={"name": "y" * 5_000_000}), 413, "too-large", "at most 1000000 bytes"),
    ("a list", b"[]", 422, "invalid", "[] is not of type 'object'"),
    ("a number", b"7", 422, "invalid", "7 is not of type 'object'"),
    ("null", b"null", 422, "invalid", "None is not of type 'object'"),
    ("no type", b'{"data": {}}', 422, "invalid", "'type' is a required property"),
    ("a type that is a number", body(type=7), 422, "invalid", "/type: 7 is not of type 'string'"),
    ("an unknown field", body(colour="red"), 422, "invalid", "'colour' was unexpected"),
    ("a version that is text", body(expected_version="1"), 422, "invalid", "/expected_version: '1' is not"),
    ("a version beyond counting", body(expected_version=10**30), 422, "invalid", "/expected_version: 1000"),
    ("a version below zero", body(expected_version=-1), 422, "invalid", "/expected_version: must be 0 or more"),
    ("an id that is a number", body(id=7), 422, "invalid", "/id: 7 is not"),
    ("an id with a blank", body(id="a b"), 422, "invalid", f"/id: {ID}"),
    ("an id with a dot", body(id="a.b"), 422, "invalid", f"/id: {ID}"),
    ("an id with a wildcard", body(id="a>"), 422, "invalid", f"/id: {ID}"),
    ("an empty id", body(id=""), 422, "invalid", f"/id: {ID}"),
    ("an id of 129 letters", body(id="a" * 129), 422, "invalid", f"/id: {ID}"),
    ("a stream that is a number", body(stream=7), 422, "invalid", "/stream: 7 is not"),
    ("a stream with unknown fields", body(stream={"id": "a", "x": 1}), 422, "invalid", "/stream: {"),
    ("a stream that climbs", body(stream={"id": "../../etc"}), 422, "invalid", f"/stream/id: {ID}"),
    ("a stream with NUL", body(stream={"id": "a\0b"}), 422, "invalid", f"/stream/id: {ID}"),
    ("a stream elsewhere", body(stream={"category": "stack", "id": "a"}), 422, "invalid", "/stream/category: org"),
    ("an unknown command", body(type="organization.destroy"), 422, "invalid", "/type: there is no command 'organ"),
    ("an internal command", body(type="deployment.complete"), 422, "invalid", "there is no command 'deployment.com"),
    (
        "a command with NUL",
        body(type="organization.register\0"),
        422,
        "invalid",
        "there is no command 'organization.reg",
    ),
    ("data that is a list", body(data=[]), 422, "invalid", "/data: [] is not of type 'object'"),
    ("data that is null", body(data=None), 422, "invalid", "/data: None is not of type 'object'"),
    ("data without its fields", body(data={}), 422, "invalid", "/data: 'name' is a required property"),
    ("data with unknown fields", body(data={"name": "x", "shoe": 1}), 422, "invalid", "'shoe' was unexpected"),
    ("a name that is a number", body(data={"name": 1}), 422, "invalid", "/data/name: 1 is not of type 'string'"),
    ("an empty name", body(data={"name": ""}), 422, "invalid", "/data/name: '' should be non-empty"),
    ("a name too long", body(data={"name": "x" * 121}), 422, "invalid", "/data/name"),
    ("a name with NUL", body(data={"name": "a\0b"}), 422, "invalid", "/data/name: must not contain NUL"),
    ("a key with NUL", body(data={"name": "a", "settings": {"\0": ""}}), 422, "invalid", "not have a name with NUL"),
    ("settings that are no text", body(data={"name": "x", "settings": {"a": 1}}), 422, "invalid", "/data/settings/a"),
]


@pytest.mark.parametrize(
    ("raw", "status", "name", "text"), [case[1:] for case in MALFORMED], ids=[case[0] for case in MALFORMED]
)
def test_a_body_that_is_no_command(http, raw, status, name, text):
    before = position(http)
    answer = http.post("/api/v1/commands", content=raw, headers=JSON)
    problem = is_problem(answer, status, name)
    assert text.lower() in problem["detail"].lower()
    assert position(http) == before


def is_problem(answer, status, name):
    """A problem document that says what, and nothing of the inside."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert int(answer.headers["X-Position"]) >= 0
    problem = answer.json()
    assert problem["status"] == status
    assert problem["type"] == f"/problems/{name}"
    assert problem["title"]
    assert "Traceback" not in answer.text
    assert ".py" not in answer.text.replace("shop.py", "")
    return problem


def position(http):
    return http.get("/api/v1/projections").json()[0]["head"]


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "image/png"]
)
def test_a_body_of_another_kind_is_not_taken(http, kind):
    """A form on any web page could send those to this machine, JSON it cannot."""
    answer = http.post("/api/v1/commands", content=body(), headers={"Content-Type": kind})
    assert kind in is_problem(answer, 415, "unsupported-media-type")["detail"]


@pytest.mark.parametrize(
    "kind", ["application/json; charset=utf-8", "Application/JSON", "application/vnd.acme+json", None]
)
def test_json_is_json_whatever_it_is_called(http, kind):
    headers = {} if kind is None else {"Content-Type": kind}
    assert http.post("/api/v1/commands", content=body(), headers=headers).status_code == 201


def test_the_largest_command_that_is_taken_fits_the_log(http):
    empty = len(body(data={"name": "x", "settings": {"a": ""}}))
    raw = body(data={"name": "x", "settings": {"a": "y" * (1_000_000 - empty)}})
    assert len(raw) == 1_000_000
    assert http.post("/api/v1/commands", content=raw, headers=JSON).status_code == 201


def test_faults_of_shape_and_of_content_are_named_together(http):
    raw = json.dumps({"type": "organization.register", "id": 7, "colour": "red", "data": {"name": 1}}).encode()
    problem = is_problem(http.post("/api/v1/commands", content=raw, headers=JSON), 422, "invalid")
    assert {fault["where"] for fault in problem["faults"]} == {"", "/id", "/data/name"}


def test_an_idempotency_key_that_contradicts_the_id(http):
    answer = http.post("/api/v1/commands", json={**GOOD, "id": "a"}, headers={"Idempotency-Key": "b"})
    assert "differs" in is_problem(answer, 422, "invalid")["detail"]


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


FAR = "9" * 25

# path, status, problem, what the detail says
QUERIES = [
    ("/nowhere", 404, "not-found", ""),
    ("/api/v1/nowhere", 404, "not-found", ""),
    ("/api/v1/organizations/nobody", 404, "not-found", "nothing called 'nobody'"),
    ("/api/v1/organizations/..%2f..%2fetc", 404, "not-found", ""),
    ("/api/v1/organizations/%2e%2e", 404, "not-found", ""),
    ("/api/v1/organizations/a%00b", 404, "not-found", ""),
    ("/api/v1/organizations/a.b", 404, "not-found", "nothing called 'a.b'"),
    ("/api/v1/organizations/%ff", 404, "not-found", ""),
    ("/api/v1/organizations/" + "a" * 5000, 404, "not-found", "nothing called 'aaa"),
    ("/api/v1/organizations/nobody/events", 404, "not-found", "nothing called 'nobody'"),
    ("/api/v1/deployments/nobody/logs", 404, "not-found", "nothing called 'nobody'"),
    ("/api/v1/deployments/nobody/timeline", 404, "not-found", "nothing called 'nobody'"),
    ("/api/v1/commands/never", 404, "not-found", "no command 'never'"),
    ("/api/v1/commands/a.b", 404, "not-found", "no command 'a.b'"),
    ("/api/v1/projections/nowhere", 404, "not-found", "no projection 'nowhere'"),
    ("/api/v1/inbound/nobody", 404, "not-found", "no event from outside called 'nobody'"),
    ("/api/v1/organizations?limit=0", 422, "invalid-query", "limit: Expected `int` >= 1"),
    ("/api/v1/organizations?limit=501", 422, "invalid-query", "limit: Expected `int` <= 500"),
    ("/api/v1/organizations?limit=x", 422, "invalid-query", "limit: Expected `int`, got `str`"),
    ("/api/v1/commands?limit=-1", 422, "invalid-query", "limit: Expected `int` >= 1"),
    ("/api/v1/organizations?limit=1&limit=2", 422, "invalid-query", "limit: is given more than once"),
    ("/api/v1/organizations?cursor=garbage", 422, "invalid-query", "cursor: is none of ours"),
    ("/api/v1/organizations?cursor=OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk6eA", 422, "invalid-query", "out of range"),
    ("/api/v1/deployments?status=bogus", 422, "invalid-query", "status: there is no 'bogus'; known: requested, "),
    ("/api/v1/organizations?colour=red", 422, "invalid-query", "colour: there is no such filter"),
    ("/api/v1/organizations?created_at_after=yesterday", 422, "invalid-query", "is no RFC 3339 time"),
    ("/api/v1/deployments?requested_by=%00", 422, "invalid-query", "requested_by: must not contain NUL"),
    ("/api/v1/organizations?min_position=-1", 422, "invalid-query", "min_position"),
    (f"/api/v1/organizations?min_position={FAR}", 422, "invalid-query", "min_position"),
    ("/api/v1/organizations?min_position=999999999&wait=0.1", 504, "position-not-reached", "organizations has reached"),
    ("/api/v1/commands?min_position=999999999&wait=0.1", 504, "position-not-reached", "commands has reached position"),
    ("/api/v1/organizations?wait=31&min_position=1", 422, "invalid-query", "wait"),
    ("/api/v1/organizations/acme?as_of=yesterday", 422, "invalid-query", "neither a position nor an RFC 3339 time"),
    ("/api/v1/organizations/acme?as_of=%C2%B2", 422, "invalid-query", "as_of: '²' is neither"),
    (f"/api/v1/organizations/acme?as_of={FAR}", 422, "invalid-query", "as_of"),
    ("/api/v1/organizations/acme/events?after=x", 422, "invalid-query", "after: Expected `int`"),
    (f"/api/v1/organizations/acme/events?after={FAR}", 422, "invalid-query", "after"),
    ("/api/v1/events?after=yesterday", 422, "invalid-query", "neither a position nor an RFC 3339 time"),
    ("/api/v1/events?after=%C2%B2", 422, "invalid-query", "after: '²' is neither"),
    (f"/api/v1/events?after={FAR}", 422, "invalid-query", "after"),
    ("/api/v1/events?after=" + "9" * 5000, 422, "invalid-query", "after"),
    ("/api/v1/events?until=-1", 422, "invalid-query", "until: '-1'"),
    ("/api/v1/events?limit=0", 422, "invalid-query", "limit"),
    ("/api/v1/events?limit=1001", 422, "invalid-query", "limit"),
    ("/api/v1/events?category=*", 422, "invalid-query", "category: '*' is no category"),
    ("/api/v1/events?category=a,,b&type=>", 422, "invalid-query", "category: '' is no category; type: '>' is no type"),
    ("/api/v1/events?categori=stack", 422, "invalid-query", "categori: there is no such filter; known: after,"),
    ("/api/v1/events/stream?after=x", 422, "invalid-query", "after: 'x' is neither"),
    ("/api/v1/events/stream?category=>", 422, "invalid-query", "category: '>' is no category"),
    ("/api/v1/inbound?status=lost", 422, "invalid-query", "status"),
]


@pytest.mark.parametrize(("path", "status", "name", "text"), QUERIES, ids=[case[0][:60] for case in QUERIES])
def test_a_query_that_cannot_be_answered(http, path, status, name, text):
    assert text in is_problem(http.get(path), status, name).get("detail", "")


@pytest.mark.parametrize("path", ["/api/v1/organizations", "/api/v1/events", "/api/v1/inbound", "/api/v1/commands"])
def test_an_answer_of_another_kind_is_not_to_be_had(http, path):
    answer = http.get(path, headers={"Accept": "application/xml"})
    assert "application/xml" in is_problem(answer, 406, "not-acceptable")["detail"]


def test_a_last_event_id_that_is_none(http):
    beyond = http.get("/api/v1/events/stream", headers={"Last-Event-ID": str(10**15)})
    assert "last-event-id: the log ends at" in is_problem(beyond, 422, "invalid-query")["detail"]
    answer = http.get("/api/v1/events/stream", headers={"Last-Event-ID": "the last one"})
    assert "last-event-id: 'the last one'" in is_problem(answer, 422, "invalid-query")["detail"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/api/v1/events", "GET, POST, OPTIONS"),
        ("PUT", "/api/v1/commands", "GET, POST, OPTIONS"),
        ("POST", "/api/v1/organizations", "GET, OPTIONS"),
        ("GET", "/api/v1/projections/stacks/rebuild", "POST, OPTIONS"),
    ],
)
def test_a_method_that_is_not_there(http, method, path, allowed):
    answer = http.request(method, path)
    is_problem(answer, 405, "method-not-allowed")
    assert answer.headers["Allow"] == allowed


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
    problem = is_problem(answer, 409, "version-conflict")
    assert (problem["current_version"], problem["expected_version"]) == (1, 7)
    assert (problem["refusal"], problem["stream"]) == ("version_conflict", f"organization/{name}")
    assert problem["position"] == int(answer.headers["X-Position"])
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
        ({"specversion": "1.0", "id": "a\0", "source": "s", "type": "t"}, "/id: String should match pattern"),
        ({"specversion": "1.0", "id": "1", "source": "s", "type": "t", "actor": {}}, "/actor: Input should be"),
        ({"specversion": "1.0", "id": "1", "source": "s", "type": "t", "tenant": "x" * 201}, "/tenant: String should"),
        ({"specversion": "1.0", "id": "1", "source": "s", "type": "t", "data": "x" * 1_000_000}, "/: 10000"),
    ],
)
def test_an_event_from_outside_that_is_none_is_refused(http, raw, reason):
    answer = http.post("/api/v1/events", json=raw, headers={"Content-Type": CLOUD})
    if answer.status_code != 413:
        assert is_problem(answer, 422, "invalid")["detail"].startswith(reason)


def test_a_batch_with_faulty_events_is_refused_whole_and_names_all_of_them(http):
    good = {"specversion": "1.0", "id": "good-of-a-bad-batch", "source": "/ci", "type": "build.finished"}
    batch = {"Content-Type": "application/cloudevents-batch+json"}
    answer = http.post("/api/v1/events", json=[good, {**good, "id": ""}, {**good, "time": "noon"}], headers=batch)
    faults = [fault["where"] for fault in is_problem(answer, 422, "invalid")["faults"]]
    assert faults == ["/1/id", "/2/time"]
    # Whatever comes later is on the record; of the refused batch nothing is.
    later = {**good, "id": "after-a-bad-batch"}
    assert http.post("/api/v1/events", json=later, headers={"Content-Type": CLOUD}).status_code == 202
    deadline = time.monotonic() + 20
    ids = []
    while later["id"] not in ids:
        assert time.monotonic() < deadline
        items = http.get("/api/v1/events", params={"type": "inbound.received", "limit": 1000}).json()["items"]
        ids = [item["data"]["id"] for item in items]
    assert good["id"] not in ids


CLOUD = "application/cloudevents+json"


@pytest.mark.parametrize(
    ("raw", "kind", "status", "name", "text"),
    [
        (b"", CLOUD, 400, "malformed", "the body is empty"),
        (b"[", CLOUD, 400, "malformed", "got `array`"),
        (b"\xff", CLOUD, 400, "malformed", "byte 0 (0xff) is not UTF-8"),
        (b'"text"', CLOUD, 400, "malformed", "got `str`"),
        (b'{"data": NaN}', CLOUD, 400, "malformed", "(byte 9)"),
        (b'{"data": "\\udc00"}', CLOUD, 400, "malformed", "surrogate pair (byte 16)"),
        (b"[" * 5000, "application/cloudevents-batch+json", 400, "malformed", "nested too deeply"),
        (b"{}", "application/cloudevents-batch+json", 400, "malformed", "got `object`"),
        (b"hello", "text/plain", 415, "unsupported-media-type", "text/plain"),
        (b'{"a": "' + b"x" * 1_000_000, CLOUD, 413, "too-large", "at most 1000000"),
    ],
)
def test_events_from_outside_that_cannot_be_read(http, raw, kind, status, name, text):
    answer = http.post("/api/v1/events", content=raw, headers={"Content-Type": kind})
    assert text in is_problem(answer, status, name)["detail"]


def ended(http, id):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        answer = http.get(f"/api/v1/deployments/{id}")
        if answer.status_code == 200 and answer.json()["status"] in ("completed", "rolled_back", "failed"):
            return answer.json()
        time.sleep(0.05)
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
