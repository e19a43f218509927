"""One record over HTTP: what it says, what can be done with it, as it was, and what strangers sent, kept from harm."""

from __future__ import annotations

import base64
import hashlib
import time
from urllib.parse import unquote

import httpx
import pytest

from tests.api.calls import fresh, send
from tests.api.test_bad_input import is_problem
from tests.api.test_intake import source

FIELDS = [{"path": "number", "type": "identifier"}, {"path": "damage", "type": "amount", "minimum": 0}]


@pytest.fixture(scope="module")
def claims(platform):
    """The address of a source of claims, which must have a number and a damage."""
    with httpx.Client(base_url=platform.url, timeout=30) as http:
        schema = fresh("claims")
        published = send(http, "record_schema.publish", schema, {"schema": {"name": schema, "fields": FIELDS}})
        assert published.status_code == 201, published.text
        yield source(http, "http", domain=schema)


def post(http, address, **message):
    """The new record's path."""
    answer = http.post(address, json={"id": fresh("m"), **message})
    assert answer.status_code == 201, answer.text
    return answer.json()["records"][0]["_links"]["self"]


def settled(http, path, *statuses):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        answer = http.get(path)
        if answer.status_code == 200 and answer.json()["status"] in statuses:
            return answer.json()
        time.sleep(0.05)
    raise AssertionError(f"{path} is not {statuses}: {answer.text}")


def act(http, row, name, **data):
    """What the record says can be done, with data filled in."""
    action = row["_actions"][name]
    body = {**action["body"], "data": {**action["body"]["data"], **data}}
    answer = http.request(action["method"], action["href"], json=body)
    assert answer.status_code == 201, answer.text


def test_a_record_says_what_is_missing_and_leads_to_all_that_belongs_to_it(http, claims):
    path = post(http, claims, sender="ann", data={"number": "C-7"})
    row = settled(http, path, "scored")
    assert (row["values"], row["missing"], row["completeness"]) == ({"number": "C-7"}, ["damage"], 0.5)
    assert row["_links"].keys() == {
        *("self", "events", "source", "follow_ups", "original", "quality", "conversation", "schema")
    }
    for name, link in row["_links"].items():
        assert http.get(link, params={"min_position": row["position"]}).status_code == 200, name
    assert http.get(row["_links"]["quality"]).json()["items"][0]["missing_fields"] == ["damage"]
    assert [each["id"] for each in http.get("/api/v1/records", params={"source": row["source"]}).json()["items"]]


def test_what_is_offered_can_be_done_and_completes_the_record(http, claims):
    path = post(http, claims, sender="ann", data={"number": "C-8"})
    row = settled(http, path, "scored")
    assert row["_actions"].keys() == {"answer", "correct", "dismiss"}
    assert row["_actions"]["answer"]["body"]["data"] == {"values": {"damage": None}}
    act(http, row, "answer", values={"damage": 120.5})
    row = settled(http, path, "completed")
    assert (row["values"], row["missing"], row["score"]) == ({"number": "C-8", "damage": 120.5}, [], 1.0)
    act(http, row, "correct", path="damage", value=99)
    deadline = time.monotonic() + 30
    while (row := http.get(path).json())["values"]["damage"] != 99:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert row["status"] == "completed", "and stays complete"
    act(http, row, "dismiss", reason="an advertisement")
    assert settled(http, path, "dismissed")["_actions"] == {}


def test_a_record_is_shown_as_it_was(http, claims):
    """At a position or at a time; nothing can be done with what is past."""
    path = post(http, claims, sender="ann", data={"number": "C-9"})
    row = settled(http, path, "scored")
    first, *_, last = http.get(f"{path}/events").json()["items"]
    past = http.get(path, params={"as_of": first["position"]}).json()
    assert (past["status"], past["values"], past["version"], past["_actions"]) == ("received", {}, 1, {})
    assert http.get(path, params={"as_of": first["time"]}).json()["version"] == 1
    now = http.get(path, params={"as_of": last["position"]}).json()
    assert {**now, "_actions": row["_actions"]} == row
    is_problem(http.get(path, params={"as_of": first["position"] - 1}), 404, "not-found")


# --- what strangers sent -------------------------------------------------------------------------------------------


def kept_from_harm(answer, name):
    """It is downloaded under its name, and never shown as a page of ours."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    kind, _, coded = answer.headers["Content-Disposition"].partition("; filename*=UTF-8''")
    assert (kind, unquote(coded)) == ("attachment", name)
    assert coded.isascii()
    assert not set(coded) & set("\"'\\;\r\n ")


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"Content-Type": "application/pdf"}, b"%PDF-1.7 \xff\xfe\x00" + fresh().encode()),
        ({"Content-Type": "text/html"}, b"<script>alert(1)</script>" + fresh().encode()),
        ({"Content-Type": "text/plain; charset=iso-8859-1"}, "Grüße ".encode("latin-1") + fresh().encode()),
        ({"Content-Type": "application/json"}, b'{ "text":  "so it came" ,"id":"%s"}\n' % fresh().encode()),
    ],
    ids=["bytes", "a page", "another charset", "JSON"],
)
def test_the_original_is_there_byte_for_byte_of_its_own_type(http, claims, headers, body):
    answer = http.post(claims, content=body, headers=headers)
    (taken,) = answer.json()["records"]
    original = http.get(f"{taken['_links']['self']}/original")
    kept_from_harm(original, f"{taken['record_id']}.original")
    assert original.content == body
    assert original.headers["Content-Type"] == headers["Content-Type"]


def test_a_message_that_was_given_as_a_command_is_its_own_original(http, claims):
    of, key = claims.rpartition("/")[2], fresh("m")
    message = {
        "platform": "http",
        "source": of,
        "external_id": key,
        "sender": {"id": "ann"},
        "sent_at": "2026-11-20T16:05:11Z",
        "text": "given",
    }
    id = f"{of}-{hashlib.sha256(key.encode()).hexdigest()[:24]}"
    assert send(http, "record.receive", id, {"message": message}).status_code == 201
    original = http.get(f"/api/v1/records/{id}/original")
    kept_from_harm(original, f"{id}.original")
    assert {name: value for name, value in original.json().items() if name in message} == {
        **message,
        "sender": {"id": "ann", "name": ""},
    }


NAMES = [
    "Rechnung §7 – Müller.pdf",
    'a"; filename="evil.html',
    "x\r\nSet-Cookie: session=1",
    "💶 100%.txt",
    "x" * 300,
]


def test_attachments_are_downloads_whatever_their_names_are(http, claims):
    contents = [f"content {number}".encode() for number in range(len(NAMES))]
    attachments = [
        {"name": name, "media_type": "text/html", "content": base64.b64encode(content).decode()}
        for name, content in zip(NAMES, contents, strict=True)
    ]
    path = post(http, claims, attachments=attachments)
    for number, (name, content) in enumerate(zip(NAMES, contents, strict=True), 1):
        answer = http.get(f"{path}/attachments/{number}")
        kept_from_harm(answer, name)
        assert answer.content == content
        assert answer.headers["Content-Type"] == "text/html"
        assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize("odd", ["text/plain\r\nSet-Cookie: a=b", "ünknown/type", ""])
def test_a_media_type_that_is_none_is_that_of_bytes(http, claims, odd):
    path = post(http, claims, attachments=[{"name": "a", "media_type": odd, "content": "AAAA"}])
    answer = http.get(f"{path}/attachments/1")
    kept_from_harm(answer, "a")
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert "Set-Cookie" not in answer.headers


def test_what_is_not_there_is_said(http):
    address = source(http, "http", limits={"attachment": 1})
    path = post(http, address, attachments=[{"name": "a", "media_type": "image/png", "content": "AAAA"}])
    refused = is_problem(http.get(f"{path}/attachments/1"), 404, "not-found")
    assert "larger than 1 bytes" in refused["detail"]
    assert "has 1 attachments" in is_problem(http.get(f"{path}/attachments/2"), 404, "not-found")["detail"]
    for gone in (f"{path}/attachments/0", f"{path}/attachments/-1", f"{path}/attachments/x"):
        is_problem(http.get(gone), 404, "not-found")
    for unknown in ("/api/v1/records/nobody", "/api/v1/records/a.b"):
        for part in ("", "/original", "/attachments/1", "/follow_ups", "/events"):
            is_problem(http.get(f"{unknown}{part}"), 404, "not-found")
