"""Messages come in: from whoever they say they are, once, whole, and with every fault named."""

from __future__ import annotations

import base64
import json
import threading
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.problems import STANDARD
from tests.api.calls import client_of, fresh, send
from tests.api.conftest import DISCORD_KEY, SECRETS
from tests.api.test_bad_input import is_problem
from tests.records.channels.payloads import (
    dc_interaction,
    dc_message,
    dc_signed,
    packed,
    tg_update,
    wa_change,
    wa_delivery,
    wa_message,
    wa_signed,
)

JSON = {"Content-Type": "application/json"}
BEARER = {"Authorization": f"Bearer {SECRETS['BEARER']}"}
QUIET = {"follow_up": {"enabled": False}}


def source(http, platform, **more):
    """The address of a source that nobody else has."""
    id = fresh("src")
    sent = send(http, "source.register", id, {"platform": platform, "name": "x", **QUIET, **more})
    assert sent.status_code == 201, sent.text
    return f"/api/v1/intake/{id}"


def records_of(http, address):
    """What is on the record of a source, in the order in which it came."""
    id = address.rpartition("/")[2]
    items, after = [], 0
    while page := http.get("/api/v1/events", params={"type": "record.received", "after": after, "limit": 1000}).json():
        items += page["items"]
        if "next" not in page["_links"]:
            break
        after = page["items"][-1]["position"]
    return [each["data"] for each in items if each["data"]["message"]["source"] == id]


def ids_of(http, address):
    return [each["message"]["external_id"] for each in records_of(http, address)]


def refused(http, address, answer, status, name=None):
    """As problem+json, with nothing on the record."""
    is_problem(answer, status, name or STANDARD[status][0])
    assert records_of(http, address) == []
    return answer.json()


# --- WhatsApp ------------------------------------------------------------------------------------------------------


@pytest.fixture
def whatsapp(http):
    return source(http, "whatsapp", secret="WHATSAPP_SECRET", verify="WHATSAPP_VERIFY")


def wa_post(http, address, body, secret=SECRETS["WHATSAPP_SECRET"]):
    return http.post(address, content=body, headers={**JSON, **wa_signed(body, secret)})


def test_whatsapp_verifies_the_address_by_a_challenge(http, whatsapp):
    asked = {"hub.mode": "subscribe", "hub.verify_token": SECRETS["WHATSAPP_VERIFY"], "hub.challenge": "1158201444"}
    answer = http.get(whatsapp, params=asked)
    assert (answer.status_code, answer.text) == (200, "1158201444")
    assert answer.headers["content-type"].startswith("text/plain")
    for wrong in ({**asked, "hub.verify_token": "guessed"}, {**asked, "hub.mode": "unsubscribe"}, {}):
        is_problem(http.get(whatsapp, params=wrong), 401, "not-genuine")


def test_a_message_of_whatsapp_is_on_the_record_as_it_came(http, whatsapp):
    """200, which is the only answer that WhatsApp takes for one."""
    body = wa_delivery(wa_change(wa_message(text={"body": "Does it come in another colour?"})))
    answer = wa_post(http, whatsapp, body)
    assert answer.status_code == 200, answer.text
    ((taken), (data)) = (answer.json()["records"][0], records_of(http, whatsapp)[0])
    assert taken["outcome"] == "accepted"
    assert data["raw"] == body.decode()
    message = data["message"]
    assert (message["platform"], message["text"]) == ("whatsapp", "Does it come in another colour?")
    assert message["sender"] == {"id": "16503879439", "name": "Sheena Nelson"}
    record = http.get(taken["_links"]["self"], params={"min_position": taken["position"]})
    assert record.json()["id"] == taken["record_id"]


@pytest.mark.parametrize(
    "headers",
    [{}, {"X-Hub-Signature-256": "sha256=" + "0" * 64}, {"X-Hub-Signature-256": "sha1=00"}],
    ids=["none", "another", "of another kind"],
)
def test_what_whatsapp_did_not_sign_is_refused(http, whatsapp, headers):
    body = wa_delivery(wa_change(wa_message(text={"body": "x"})))
    answer = http.post(whatsapp, content=body, headers={**JSON, **headers})
    refused(http, whatsapp, answer, 401)


def test_a_signature_is_of_the_body_to_the_last_byte(http, whatsapp):
    body = wa_delivery(wa_change(wa_message(text={"body": "x"})))
    answer = http.post(whatsapp, content=body + b" ", headers={**JSON, **wa_signed(body, SECRETS["WHATSAPP_SECRET"])})
    refused(http, whatsapp, answer, 401)


def test_deliveries_that_come_again_and_out_of_order_are_recorded_once(http, whatsapp):
    """WhatsApp delivers at least once, in any order, several messages together."""
    first, second, third = (wa_message(id=f"wamid.{n}", text={"body": f"message {n}"}) for n in (1, 2, 3))
    for messages in ([third], [first, second], [third, first], [second], [third]):
        answer = wa_post(http, whatsapp, wa_delivery(wa_change(*messages)))
        assert answer.status_code == 200, answer.text
    assert [record.get("duplicate", False) for record in answer.json()["records"]] == [True]
    assert ids_of(http, whatsapp) == ["wamid.3", "wamid.1", "wamid.2"]


def test_many_of_the_same_at_once_are_recorded_once(http, whatsapp):
    body = wa_delivery(wa_change(wa_message(text={"body": "at once"})))
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(wa_post(http, whatsapp, body))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.status_code for answer in answers] == [200] * 6
    assert sum("duplicate" not in answer.json()["records"][0] for answer in answers) == 1
    assert len(records_of(http, whatsapp)) == 1


def test_what_became_of_our_own_messages_is_none(http, whatsapp):
    statuses = [{"id": "wamid.OURS", "status": "read", "timestamp": "1749416383", "recipient_id": "16503879439"}]
    answer = wa_post(http, whatsapp, wa_delivery(wa_change(statuses=statuses)))
    assert (answer.status_code, answer.json()) == (200, {"records": []})


# --- Telegram ------------------------------------------------------------------------------------------------------


@pytest.fixture
def telegram(http):
    return source(http, "telegram", secret="TELEGRAM_SECRET")


def tg_post(http, address, body, token=SECRETS["TELEGRAM_SECRET"]):
    return http.post(address, content=body, headers={**JSON, "X-Telegram-Bot-Api-Secret-Token": token})


def test_updates_of_telegram_are_recorded_once_in_whatever_order(http, telegram):
    for update in (10_002, 10_001, 10_002, 10_001):
        answer = tg_post(http, telegram, tg_update(update_id=update, text=f"update {update}"))
        assert answer.status_code == 200, answer.text
    assert ids_of(http, telegram) == ["10002", "10001"]
    first, _ = records_of(http, telegram)
    assert first["message"]["sender"] == {"id": "1111111", "name": "Test Lastname"}
    assert first["message"]["conversation"] == "1111111"


def test_an_edited_message_of_telegram_is_one_of_its_own(http, telegram):
    tg_post(http, telegram, tg_update(text="befor"))
    tg_post(http, telegram, tg_update("edited_message", update_id=10_001, text="before", edit_date=1441645599))
    assert [each["message"]["text"] for each in records_of(http, telegram)] == ["befor", "before"]


@pytest.mark.parametrize("token", ["", "guessed", SECRETS["TELEGRAM_SECRET"] + "1"])
def test_an_update_without_the_secret_token_is_refused(http, telegram, token):
    refused(http, telegram, tg_post(http, telegram, tg_update(text="x"), token), 401)


# --- Discord -------------------------------------------------------------------------------------------------------


class Discord:
    """Its API, as far as it is told what was deferred."""

    def __init__(self):
        self.asked = []
        self.told = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_PATCH(self):
                said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.asked.append((self.path, said["content"]))
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")
                outer.told.set()

            def log_message(self, format, *args):
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def discord_api():
    api = Discord()
    thread = threading.Thread(target=api.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield api
    api.server.shutdown()
    thread.join()
    api.server.server_close()


@pytest.fixture
def discord(http, discord_api):
    return source(http, "discord", secret="DISCORD_KEY", reply={"api": discord_api.url})


def dc_post(http, address, value, key=DISCORD_KEY):
    body = packed(value)
    return http.post(address, content=body, headers={**JSON, **dc_signed(body, key)})


def test_a_ping_of_discord_is_answered_and_no_record(http, discord):
    answer = dc_post(http, discord, {"type": 1, "id": "1", "application_id": "2", "token": "t", "version": 1})
    assert (answer.status_code, answer.json()) == (200, {"type": 1})
    assert records_of(http, discord) == []


def test_an_interaction_is_deferred_recorded_and_settled(http, discord, discord_api):
    options = [{"name": "text", "type": 3, "value": "Invoice 7 is paid"}, {"name": "amount", "type": 10, "value": 12.5}]
    asked = dc_interaction(data={"id": "1", "name": "report", "type": 1, "options": options})
    answer = dc_post(http, discord, asked)
    assert (answer.status_code, answer.json()) == (200, {"type": 5, "data": {"flags": 64}})
    ((record),) = records_of(http, discord)
    assert (record["message"]["text"], record["message"]["data"]) == ("Invoice 7 is paid", {"amount": 12.5})
    assert discord_api.told.wait(10)
    ((path, said),) = discord_api.asked
    assert path.endswith("/messages/@original")
    assert said == "Received."


def test_messages_that_a_gateway_client_passes_on_are_recorded_once(http, discord):
    """204, as Discord wants it for what needs no answer."""
    for id in ("846462639134605313", "846462639134605312", "846462639134605313"):
        answer = dc_post(http, discord, dc_message(id, content=f"message {id}"))
        assert (answer.status_code, answer.content) == (204, b"")
    assert ids_of(http, discord) == ["846462639134605313", "846462639134605312"]


def test_the_ping_of_webhook_events_is_answered_without_a_body(http, discord):
    answer = dc_post(http, discord, {"version": 1, "application_id": "1", "type": 0})
    assert (answer.status_code, answer.content) == (204, b"")


def test_what_discord_did_not_sign_is_refused(http, discord, discord_api):
    """It probes so, and takes an address away that lets it through."""
    other = Ed25519PrivateKey.generate()
    for ping in ({"type": 1}, dc_interaction(data={"name": "x"})):
        refused(http, discord, dc_post(http, discord, ping, other), 401)
    body = packed({"type": 1})
    headers = {**JSON, **dc_signed(body, DISCORD_KEY), "x-signature-timestamp": "1700000001"}
    refused(http, discord, http.post(discord, content=body, headers=headers), 401)
    assert discord_api.asked == []


# --- without a platform's signature --------------------------------------------------------------------------------


def letter(key="<7@example.org>", **headers):
    mail = EmailMessage()
    mail["From"], mail["Subject"] = "Ann <ann@example.org>", "Invoice 7"
    mail["Message-ID"], mail["Date"] = key, "Fri, 20 Nov 2026 16:05:11 +0100"
    mail.set_content("Please find our invoice attached.")
    mail.add_attachment(b"%PDF-1.7 \xff\x00", maintype="application", subtype="pdf", filename="Rechnung §7.pdf")
    return mail.as_bytes()


def test_a_mail_is_recorded_once_with_its_attachment(http):
    address = source(http, "email")
    headers = {"Content-Type": "message/rfc822"}
    first, again = (http.post(address, content=letter(), headers=headers) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["records"][0]["duplicate"] is True
    assert first.json()["records"][0]["record_id"] == again.json()["records"][0]["record_id"]
    ((record),) = records_of(http, address)
    assert record["message"]["sent_at"] == "2026-11-20T15:05:11Z"
    (attachment,) = record["message"]["attachments"]
    assert (attachment["name"], attachment["size"]) == ("Rechnung §7.pdf", 11)
    assert attachment["content"]


def test_a_form_has_fields_and_files(http):
    address = source(http, "http")
    files = {"scan": ("../../scan.png", b"\x89PNG", "image/png")}
    answer = http.post(address, data={"sender": "ann", "text": "see the scan", "amount": "12.50"}, files=files)
    assert answer.status_code == 201, answer.text
    ((record),) = records_of(http, address)
    message = record["message"]
    assert (message["sender"]["id"], message["data"]) == ("ann", {"amount": "12.50"})
    assert [attachment["name"] for attachment in message["attachments"]] == ["scan.png"]


def test_json_may_be_one_message_or_a_list_of_them(http):
    address = source(http, "http")
    one = {"id": "7", "sender": "ann", "text": "paid", "data": {"amount": 12.5}}
    assert http.post(address, json=one).status_code == 201
    answer = http.post(address, json=[one, {**one, "id": "8"}])
    assert answer.status_code == 201, "one of them is new"
    assert [each.get("duplicate", False) for each in answer.json()["records"]] == [True, False]
    assert ids_of(http, address) == ["7", "8"]


def test_a_file_is_known_by_what_it_is(http):
    address = source(http, "http")
    headers = {"Content-Type": "application/pdf", "Content-Disposition": 'attachment; filename="a.pdf"'}
    statuses = [http.post(address, content=b"%PDF-1.7", headers=headers).status_code for _ in range(2)]
    assert statuses == [201, 200]
    ((record),) = records_of(http, address)
    assert record["message"]["attachments"][0]["name"] == "a.pdf"


def test_events_come_structured_in_batches_and_in_binary_mode(http):
    address = source(http, "cloudevents")
    event = {"specversion": "1.0", "id": "1", "source": "/shop", "type": "order.placed", "data": {"total": 12.5}}
    structured = {"Content-Type": "application/cloudevents+json"}
    assert http.post(address, json=event, headers=structured).status_code == 201
    batch = {"Content-Type": "application/cloudevents-batch+json"}
    assert http.post(address, json=[event, {**event, "id": "2"}], headers=batch).status_code == 201
    binary = {"ce-specversion": "1.0", "ce-id": "3", "ce-source": "/shop", "ce-type": "order.placed"}
    assert http.post(address, json={"total": 7}, headers=binary).status_code == 201
    assert http.post(address, json={"total": 7}, headers=binary).status_code == 200
    assert [json.loads(id)[1] for id in ids_of(http, address)] == ["1", "2", "3"]


def test_a_source_with_a_secret_takes_only_what_comes_with_it(http):
    address = source(http, "http", secret="BEARER")
    for headers in ({}, {"Authorization": "Bearer guessed"}, {"Authorization": BEARER["Authorization"].upper()}):
        refused(http, address, http.post(address, json={"text": "x"}, headers=headers), 401)
    assert http.post(address, json={"text": "x"}, headers=BEARER).status_code == 201


def test_a_source_whose_secret_is_not_set_takes_nothing(http):
    for platform, secret in (("http", "NOWHERE_SET"), ("telegram", None)):
        address = source(http, platform, **({"secret": secret} if secret else {}))
        answer = http.post(address, json={"text": "x"}, headers=BEARER)
        assert "not set" in refused(http, address, answer, 401)["detail"]


def test_a_page_of_another_site_cannot_post_to_a_source_without_a_secret(http):
    address = source(http, "http")
    answer = http.post(address, files={"a": ("a.txt", b"x")}, headers={"Origin": "https://evil.example"})
    refused(http, address, answer, 403, "other-origin")
    own = str(http.base_url).rstrip("/")
    assert http.post(address, files={"a": ("a.txt", b"x")}, headers={"Origin": own}).status_code == 201


# --- faults --------------------------------------------------------------------------------------------------------


def test_every_fault_of_a_delivery_is_named_at_once(http, whatsapp):
    """Also where some of its messages would be sound: what is delivered is taken whole, or not at all."""
    right, wrong = wa_message(text={"body": "x"}), {"timestamp": "yesterday", "type": "text", "text": 7}
    answer = wa_post(http, whatsapp, wa_delivery(wa_change(right, wrong)))
    problem = refused(http, whatsapp, answer, 422, "not-understood")
    at = "/entry/0/changes/0/value/messages/1"
    assert {(fault["where"], fault["what"]) for fault in problem["faults"]} == {
        (f"{at}/id", "is missing"),
        (f"{at}/from", "is missing"),
        (f"{at}/timestamp", "is no time in seconds"),
        (f"{at}/text", "is no object"),
    }


@pytest.mark.parametrize(
    ("kind", "headers", "body", "faults"),
    [
        ("http", JSON, b"{", {("", "it is no JSON")}),
        ("http", JSON, b"[" * 5_000, {("", "its JSON is nested too deeply")}),
        ("http", JSON, b'{"text": 1, "colour": "red", "sent_at": "soon"}', {
            ("/text", "is no text"), ("/colour", "is not known"), ("/sent_at", "is no time")
        }),
        ("http", JSON, packed({"attachments": [{"name": "a", "content": "%"}]}), {
            ("/attachments/0/content", "is no base64")
        }),
        ("http", {"Content-Type": "multipart/form-data"}, b"x", {("", "its Content-Type names no boundary")}),
        ("email", {}, b"Subject: nobody\r\n\r\n", {("", "it has no From")}),
        ("cloudevents", {}, b'{"id": "1", "specversion": "0.3"}', {
            ("/specversion", "is not 1.0"), ("/source", "is missing"), ("/type", "is missing")
        }),
    ],
    ids=["no JSON", "too deep", "three faults", "no base64", "no boundary", "no sender", "no event"],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_with_every_fault(http, kind, headers, body, faults):
    address = source(http, kind)
    problem = refused(http, address, http.post(address, content=body, headers=headers), 422, "not-understood")
    assert {(fault["where"], fault["what"]) for fault in problem["faults"]} == faults


def test_there_must_be_such_a_source_and_it_must_be_open(http):
    address = source(http, "http")
    send(http, "source.close", address.rpartition("/")[2], {"reason": "enough"})
    for path in (address, "/api/v1/intake/nobody", "/api/v1/intake/a.b"):
        for answer in (http.post(path, json={"text": "x"}), http.get(path)):
            assert refused(http, address, answer, 404)["title"] == "There is no such resource"


def test_what_is_made_here_is_not_delivered(http):
    address = source(http, "folder")
    refused(http, address, http.post(address, json={"text": "x"}), 401)


def test_what_is_too_large_is_refused_and_says_how_much_may_come(http):
    address = source(http, "http")
    answer = http.post(address, content=bytes(64 * 1024 * 1024 + 1))
    assert str(64 * 1024 * 1024) in refused(http, address, answer, 413)["detail"]


def test_an_attachment_that_is_not_taken_keeps_its_place_with_the_reason(http):
    address = source(http, "http", limits={"attachment": 10, "types": ["image/*"]})
    content = base64.b64encode(bytes(11)).decode()
    attachments = [
        {"name": "large.png", "media_type": "image/png", "content": content},
        {"name": "a.pdf", "media_type": "application/pdf", "content": content[:4]},
        {"name": "small.png", "media_type": "image/png", "content": content[:8]},
    ]
    assert http.post(address, json={"attachments": attachments}).status_code == 201
    ((record),) = records_of(http, address)
    refusals = [(each["refused"] or "", each["content"] is None) for each in record["message"]["attachments"]]
    assert refusals == [("larger than 10 bytes", True), ("application/pdf is not taken here", True), ("", False)]


def test_who_delivers_is_told_by_the_headers_else_by_the_source(http):
    address = source(http, "http")
    named, unnamed = ({"X-Actor": "gateway", "X-Correlation-Id": "talk"}, {"X-Actor": ""})
    actors = []
    for headers in (named, unnamed):
        answer = http.post(address, json={"text": fresh("x")}, headers=headers).json()
        (event,) = http.get(f"{answer['records'][0]['_links']['self']}/events").json()["items"][:1]
        actors.append((event["actor"], event["correlationid"] == "talk"))
    assert actors == [("gateway", True), (f"source:{address.rpartition('/')[2]}", False)]


# --- outages -------------------------------------------------------------------------------------------------------


async def test_secrets_are_read_when_a_message_comes_and_an_outage_of_the_log_is_said(api, own_nats, monkeypatch):
    """Whoever is told 503 sends the same again, and it is on the record once."""
    address, body = "/api/v1/intake/bot", tg_update(text="x")
    headers = {**JSON, "X-Telegram-Bot-Api-Secret-Token": "right"}
    async with client_of(api) as client:
        data = {"platform": "telegram", "name": "Bot", "secret": "A_SECRET_OF_THE_TEST"}
        command = {"type": "source.register", "stream": "bot", "data": data}
        assert (await client.post("/api/v1/commands", json=command)).status_code == 201
        unset = await client.post(address, content=body, headers=headers)
        assert (unset.status_code, "right" in unset.text) == (401, False)
        monkeypatch.setenv("A_SECRET_OF_THE_TEST", "right")
        own_nats.nodes[0].kill()
        away = await client.post(address, content=body, headers=headers)
        assert (away.status_code, away.headers["Retry-After"]) == (503, "1")
        assert away.json()["type"] == "/problems/log-unavailable"
        own_nats.nodes[0].start()
        while (answer := await client.post(address, content=body, headers=headers)).status_code == 503:
            pass
        assert answer.status_code == 200, answer.text
        again = await client.post(address, content=body, headers=headers)
        assert again.json()["records"][0]["duplicate"] is True
        events = (await client.get("/api/v1/events", params={"type": "record.received"})).json()["items"]
        assert len(events) == 1
