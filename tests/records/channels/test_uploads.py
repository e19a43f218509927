import base64
from datetime import UTC, datetime

import pytest

from domain.message import LONGEST_TEXT
from records.channels import CHANNELS, cloudevents, http
from records.channels.errors import NotUnderstood
from tests.records.channels.payloads import packed

NOW = datetime(2026, 11, 21, tzinfo=UTC)
JSON = {"Content-Type": "application/json"}


def form(*parts):
    body = b"".join(
        b"--B\r\nContent-Disposition: form-data; " + head + b"\r\n\r\n" + content + b"\r\n" for head, content in parts
    )
    return body + b"--B--\r\n", {"content-type": "multipart/form-data; boundary=B"}


def one(body, headers=JSON, received_at=NOW):
    (incoming,) = http.messages(body, "desk", headers, received_at)
    return incoming


def test_json_says_everything():
    said = {
        "id": "7",
        "text": "hi",
        "data": {"amount": 5},
        "sender": "ann",
        "sender_name": "Ann",
        "sent_at": "2026-11-20T12:00:00+01:00",
        "reply_to": "apprise:1",
        "attachments": [{"name": "a.txt", "media_type": "text/plain", "content": base64.b64encode(b"abc").decode()}],
        "metadata": {"desk": "3"},
    }
    incoming = one(packed(said))
    message = incoming.message
    assert (message.external_id, message.text, message.data, message.reply_to) == (
        "7",
        "hi",
        {"amount": 5},
        "apprise:1",
    )
    assert (message.sender.id, message.sender.name, message.metadata) == ("ann", "Ann", {"desk": "3"})
    assert message.sent_at == datetime(2026, 11, 20, 11, tzinfo=UTC)
    assert incoming.contents == {0: b"abc"}


def test_a_list_is_many_messages():
    found = http.messages(packed([{"text": "a"}, {"text": "b"}]), "desk", {**JSON, "idempotency-key": "k"}, NOW)
    assert [(each.message.external_id, each.message.text) for each in found] == [("k:0", "a"), ("k:1", "b")]


def test_a_form_has_fields_and_files_byte_for_byte():
    body, headers = form(
        (b'name="text"', b"see the scan"),
        (b'name="amount"', b"12,50"),
        (b'name="scan"; filename="C:\\\\scans\\\\a.bin"\r\nContent-Type: application/x-scan', b"\x00\r\n\xff"),
    )
    incoming = one(body, headers)
    assert (incoming.message.text, incoming.message.data) == ("see the scan", {"amount": "12,50"})
    assert (incoming.message.attachments[0].name, incoming.contents[0]) == ("a.bin", b"\x00\r\n\xff")


def test_anything_else_is_one_file():
    headers = {"Content-Type": "application/pdf", "Content-Disposition": "attachment; filename*=UTF-8''re%C3%A7u.pdf"}
    incoming = one(b"%PDF", headers)
    assert (incoming.message.attachments[0].name, incoming.contents[0]) == ("reçu.pdf", b"%PDF")
    assert one(b"%PDF", {"Content-Type": "application/pdf"}).message.attachments[0].name == "upload.pdf"
    assert one(b"{}", {**JSON, "Content-Disposition": 'attachment; filename="a.json"'}).contents[0] == b"{}"


def test_the_same_upload_again_is_the_same_message_and_another_is_another():
    def key(text, boundary=b"B"):
        body, headers = form((b'name="text"', text))
        body, headers = (
            body.replace(b"--B", b"--" + boundary),
            {"content-type": f"multipart/form-data; boundary={boundary.decode()}"},
        )
        return one(body, headers).message.external_id

    assert key(b"hi") == key(b"hi", b"XYZ") != key(b"ho")


def test_a_time_is_needed_from_somewhere():
    with pytest.raises(NotUnderstood, match="/sent_at is missing, and when it came is not said"):
        one(b'{"text": "hi"}', received_at=None)


def test_every_fault_is_named_at_once():
    with pytest.raises(NotUnderstood) as raised:
        one(packed([{"text": 5, "colour": 1}, 7, {"sent_at": "soon", "attachments": [{"content": "%%"}, {}]}]))
    assert set(raised.value.faults) == {
        "/1 is no object",
        "/0/colour is not known",
        "/0/text is no text",
        "/2/sent_at is no time",
        "/2/attachments/0/content is no base64",
        "/2/attachments/1/content is missing",
    }


def test_fields_and_texts_that_are_too_long_are_attachments():
    incoming = one(packed({"text": "x" * (LONGEST_TEXT + 1), "data": {"rows": ["y" * 100] * 3_000}}))
    assert (incoming.message.text, incoming.message.data) == ("", {})
    assert [each.name for each in incoming.message.attachments] == ["data.json", "text.txt"]


def test_what_a_log_cannot_hold_is_replaced():
    assert one(b'{"text": "a\\u0000b", "data": {"k\\u0000": ["\\u0000"]}}').message.data == {"k�": ["�"]}


def test_a_folder_and_a_database_use_the_same_form():
    for platform in ("folder", "database"):
        (incoming,) = CHANNELS[platform].messages(b"abc", "in", {"content-type": "text/plain"}, NOW)
        assert incoming.message.platform == platform


EVENT = {"specversion": "1.0", "id": "1", "source": "/shop", "type": "order.paid", "data": {"amount": 5}}


def test_an_event_is_a_message_whose_data_are_fields():
    (incoming,) = cloudevents.messages(packed({**EVENT, "time": "2026-11-20T12:00:00Z", "actor": "ann"}), "bus")
    message = incoming.message
    assert (message.external_id, message.data, message.sender.id) == ('["/shop","1"]', {"amount": 5}, "/shop")
    assert (message.metadata["kind"], message.metadata["actor"]) == ("order.paid", "ann")
    assert message.sent_at == datetime(2026, 11, 20, 12, tzinfo=UTC)


def test_events_come_in_batches_and_in_headers_too():
    batch = cloudevents.messages(packed([EVENT, {**EVENT, "id": "2"}]), "bus", None, NOW)
    assert [each.message.external_id for each in batch] == ['["/shop","1"]', '["/shop","2"]']
    headers = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/shop", "ce-type": "order.paid"}
    (binary,) = cloudevents.messages(b'{"amount": 5}', "bus", {**headers, "content-type": "application/json"}, NOW)
    assert binary.message == batch[0].message
    (scan,) = cloudevents.messages(b"%PDF", "bus", {**headers, "content-type": "application/pdf"}, NOW)
    assert (scan.message.attachments[0].name, scan.contents[0]) == ("data.pdf", b"%PDF")


def test_data_that_are_no_object_are_text_bytes_or_one_field():
    def data(**fields):
        event = {key: value for key, value in EVENT.items() if key != "data"} | fields
        return cloudevents.messages(packed(event), "bus", None, NOW)[0]

    assert data(data="words").message.text == "words"
    assert data(data=[1, 2]).message.data == {"data": [1, 2]}
    assert data(data_base64="AAE=").contents == {0: b"\x00\x01"}


def test_every_fault_of_every_event_is_named():
    with pytest.raises(NotUnderstood) as raised:
        cloudevents.messages(
            packed([{"specversion": "0.3", "id": "1", "time": "x"}, {**EVENT, "data_base64": "%"}]), "b", None, NOW
        )
    assert set(raised.value.faults) == {
        "/0/specversion is not 1.0",
        "/0/source is missing",
        "/0/type is missing",
        "/0/time is no time",
        "/1/data_base64 is no base64",
    }
