"""Whatever a stranger sends: a message, or one of the two errors that say why not."""

import json
from contextlib import suppress
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.message import Message
from domain.source import Configuration
from records.channels import CHANNELS, challenge, verified
from records.channels.discord import answer
from records.channels.errors import NotGenuine, NotUnderstood
from tests.records.channels.payloads import dc_interaction, dc_message, tg_update, wa_change, wa_message

NOW = datetime(2026, 11, 21, tzinfo=UTC)
NAMES = [
    "entry",
    "changes",
    "value",
    "messages",
    "from",
    "id",
    "timestamp",
    "type",
    "text",
    "body",
    "image",
    "contacts",
    "interactive",
    "context",
    "update_id",
    "message",
    "chat",
    "photo",
    "date",
    "callback_query",
    "member",
    "user",
    "data",
    "options",
    "resolved",
    "attachments",
    "author",
    "event",
    "specversion",
    "source",
    "time",
    "sender",
    "sent_at",
    "metadata",
    "reply_to_message",
    "components",
    "values",
    "nfm_reply",
    "button_reply",
    "profile",
    "name",
    "document",
    "file_id",
]
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=5)
    | st.sampled_from(NAMES)
)
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5)
)
HEADERS = st.dictionaries(
    st.sampled_from(
        ["content-type", "content-disposition", "ce-specversion", "ce-id", "idempotency-key", "authorization"]
    ),
    st.text(max_size=20) | st.sampled_from(["application/json", "multipart/form-data; boundary=B", "1.0"]),
)
SHAPES = [
    {"entry": [{"changes": [wa_change(wa_message(image={"id": "1"}, context={"id": "2"}))]}]},
    json.loads(tg_update(text="hi", photo=[{"file_id": "1", "width": 1, "height": 1}])),
    dc_interaction(data={"options": [{"name": "a", "type": 3, "value": "b"}], "resolved": {"attachments": {}}}),
    dc_message(attachments=[]),
    {"specversion": "1.0", "id": "1", "source": "s", "type": "t", "data": {}},
    {"text": "hi", "attachments": [{"content": "AA=="}]},
]


def mutated(value, path, put):
    """The same, with something else at one place."""
    if not path or not isinstance(value, (dict, list)) or not value:
        return put
    keys = list(value) if isinstance(value, dict) else range(len(value))
    at = keys[path[0] % len(keys)]
    inner = mutated(value[at], path[1:], put)
    return {**value, at: inner} if isinstance(value, dict) else [*value[:at], inner, *value[at + 1 :]]


def taken(platform, body, headers):
    """Messages, which the log can hold, or an error that is expected."""
    with suppress(NotUnderstood):
        for incoming in CHANNELS[platform].messages(body, "s", headers, NOW):
            again = msgspec.json.decode(msgspec.json.encode(incoming.message), type=Message)
            assert again == incoming.message
            assert incoming.message.sent_at.utcoffset() is not None
            assert all(incoming.message.attachments[at].size == len(it) for at, it in incoming.contents.items())


@pytest.mark.parametrize("platform", CHANNELS)
@settings(max_examples=40, deadline=None)
@given(body=st.binary(max_size=300), headers=HEADERS)
def test_any_bytes(platform, body, headers):
    taken(platform, body, headers)
    answer(body)


@pytest.mark.parametrize("platform", ["whatsapp", "telegram", "discord", "cloudevents", "http"])
@settings(max_examples=40, deadline=None)
@given(value=JSON)
def test_any_json(platform, value):
    taken(platform, json.dumps(value).encode(), {"content-type": "application/json"})


@pytest.mark.parametrize("platform", ["whatsapp", "telegram", "discord", "cloudevents", "http"])
@settings(max_examples=50, deadline=None)
@given(shape=st.sampled_from(SHAPES), path=st.lists(st.integers(0, 20), max_size=9), put=JSON)
def test_almost_what_the_platform_delivers(platform, shape, path, put):
    taken(platform, json.dumps(mutated(shape, path, put)).encode(), {"content-type": "application/json"})


LINES = [
    "From: a@b.c",
    "Content-Type: multipart/mixed; boundary=b",
    "Content-Type: message/rfc822",
    "Content-Type: text/html; charset=utf-7",
    "Content-Transfer-Encoding: base64",
    "Content-Transfer-Encoding: x-uuencode",
    "Content-Disposition: attachment; filename*0*=utf-8''%",
    "Date: Mon, 1 Jan 0001 00:00:00 +2359",
    "References: <a@b> <",
    "--b",
    "--b--",
    "",
    "begin 666 x",
]


@settings(max_examples=80, deadline=None)
@given(st.lists(st.sampled_from(LINES) | st.text(max_size=20), max_size=15))
def test_almost_a_mail(lines):
    taken("email", "\r\n".join(lines).encode("utf-8", "surrogatepass"), {})


@settings(max_examples=80, deadline=None)
@given(
    platform=st.sampled_from(list(CHANNELS)),
    headers=st.dictionaries(
        st.sampled_from(
            ["x-hub-signature-256", "x-telegram-bot-api-secret-token", "x-signature-ed25519", "authorization"]
        ),
        st.text(max_size=80) | st.sampled_from(["sha256=" + "0" * 64, "00" * 64]),
    ),
    body=st.binary(max_size=50),
)
def test_nobody_gets_in_by_chance(platform, headers, body):
    configuration = Configuration(platform, "x", secret="SECRET")
    with pytest.raises(NotGenuine):
        verified(configuration, {"SECRET": "0f" * 32}, headers, body)


def test_what_a_platform_signs_is_not_taken_while_there_is_nothing_to_check_it_with():
    for platform, channel in CHANNELS.items():
        without = Configuration(platform, "x")
        if channel.signed or not channel.delivered:
            with pytest.raises(NotGenuine):
                verified(without, {}, {}, b"")
        else:
            verified(without, {}, {}, b"")
        with pytest.raises(NotGenuine):
            verified(Configuration(platform, "x", secret="SECRET"), {}, {}, b"")


def test_a_bearer_is_let_in():
    for platform in ("http", "email", "cloudevents"):
        verified(Configuration(platform, "x", secret="S"), {"S": " hush\n"}, {"authorization": "Bearer hush"}, b"")


def test_only_whatsapp_is_challenged():
    query = {"hub.mode": "subscribe", "hub.verify_token": "t", "hub.challenge": "1"}
    assert challenge(Configuration("whatsapp", "x", verify="V"), {"V": "t"}, query) == "1"
    for configuration in (Configuration("telegram", "x", verify="V"), Configuration("whatsapp", "x")):
        with pytest.raises(NotGenuine):
            challenge(configuration, {"V": "t"}, query)
