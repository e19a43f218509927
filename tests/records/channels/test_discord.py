from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from records.channels import discord
from records.channels.errors import NotGenuine, NotUnderstood
from tests.records.channels.payloads import dc_file, dc_interaction, dc_message, dc_signed, packed, snowflake

KEY = Ed25519PrivateKey.generate()
PUBLIC = KEY.public_key().public_bytes_raw().hex()


def said(payload):
    (incoming,) = discord.messages(packed(payload), "guild")
    return incoming.message


def test_the_signature_is_over_timestamp_and_body():
    body = packed(dc_interaction())
    headers = dc_signed(body, KEY)
    discord.verify(headers, body, PUBLIC)
    wrong = [
        (headers, body + b" ", PUBLIC),
        ({**headers, "x-signature-timestamp": "1700000001"}, body, PUBLIC),
        ({**headers, "x-signature-ed25519": "no hex"}, body, PUBLIC),
        ({**headers, "x-signature-ed25519": "é"}, body, PUBLIC),
        (dc_signed(body, Ed25519PrivateKey.generate()), body, PUBLIC),
        ({}, body, PUBLIC),
        (headers, body, "no key"),
    ]
    for case in wrong:
        with pytest.raises(NotGenuine):
            discord.verify(*case)


def test_a_ping_is_ponged_and_is_no_message():
    body = packed({"type": 1, "id": "1", "application_id": "2", "version": 1})
    assert discord.answer(body) == {"type": 1}
    assert discord.messages(body, "guild") == ()


@pytest.mark.parametrize("kind", [2, 3, 5])
def test_an_interaction_is_answered_later_to_its_sender_alone(kind):
    assert discord.answer(packed(dc_interaction(kind))) == {"type": 5, "data": {"flags": 64}}


def test_suggestions_are_none_and_events_get_no_body():
    assert discord.answer(packed(dc_interaction(4))) == {"type": 8, "data": {"choices": []}}
    assert discord.messages(packed(dc_interaction(4)), "guild") == ()
    for body in (packed({"version": 1, "type": 0}), packed({"type": 1, "event": {}}), b"\xff", packed(dc_message())):
        assert discord.answer(body) is None


def test_options_of_a_command_are_fields_text_and_files():
    options = [
        {"name": "text", "type": 3, "value": "an invoice"},
        {"name": "amount", "type": 10, "value": 12.5},
        {"name": "scan", "type": 11, "value": "77"},
    ]
    nested = [{"name": "group", "type": 2, "options": [{"name": "send", "type": 1, "options": options}]}]
    data = {"type": 1, "name": "record", "id": "1", "options": nested, "resolved": {"attachments": {"77": dc_file()}}}
    message = said(dc_interaction(2, data=data))
    assert (message.text, message.data) == ("an invoice", {"amount": 12.5})
    assert [(one.name, one.size, one.media_type) for one in message.attachments] == [
        ("scan.pdf", 1234, "application/pdf")
    ]
    assert (message.sender.id, message.sender.name) == ("53908232506183680", "Mason")
    assert (message.external_id, message.conversation) == ("846462639134605312", "645027906669510667")
    assert (message.metadata["kind"], message.metadata["name"]) == ("command", "record")


def test_the_time_is_in_the_id():
    moment = datetime(2026, 11, 21, 12, 0, 0, 125_000, tzinfo=UTC)
    assert said(dc_interaction(2, id=snowflake(moment))).sent_at == moment


def test_a_message_that_was_pointed_at_is_what_its_chooser_says():
    target = dc_message("900000000000000000", content="see the scan", attachments=[dc_file()])
    data = {"type": 3, "name": "Send", "target_id": target["id"], "resolved": {"messages": {target["id"]: target}}}
    message = said(dc_interaction(2, data=data))
    assert (message.text, len(message.attachments)) == ("see the scan", 1)
    assert (message.metadata["kind"], message.metadata["message_id"]) == ("message_command", target["id"])


def test_a_component_answers_the_message_it_is_on():
    data = {"custom_id": "which", "component_type": 3, "values": ["a", "b"]}
    message = said(dc_interaction(3, data=data, message=dc_message("900000000000000001")))
    assert (message.text, message.data) == ("a, b", {"choice": "which", "values": ["a", "b"]})
    assert message.reply_to == "900000000000000001"


def test_inputs_of_a_modal_are_fields_whatever_they_are_wrapped_in():
    components = [
        {"type": 1, "components": [{"type": 4, "custom_id": "amount", "value": "12,50"}]},
        {"type": 18, "component": {"type": 3, "custom_id": "currency", "values": ["EUR"]}},
        {"type": 18, "component": {"type": 19, "custom_id": "scan", "values": ["77"]}},
        {"type": 18, "component": {"type": 4, "custom_id": "text", "value": "as agreed"}},
    ]
    data = {"custom_id": "form", "components": components, "resolved": {"attachments": {"77": dc_file()}}}
    message = said(dc_interaction(5, data=data))
    assert (message.text, message.data) == ("as agreed", {"amount": "12,50", "currency": ["EUR"]})
    assert len(message.attachments) == 1


def test_a_message_object_is_a_message_and_so_is_that_of_an_event():
    answer = dc_message(type=19, content="12 March", message_reference={"message_id": "5"}, attachments=[dc_file()])
    event = {"version": 1, "application_id": "1", "type": 1, "event": {"type": "LOBBY_MESSAGE_CREATE", "data": answer}}
    for payload in (answer, event):
        message = said(payload)
        assert (message.text, message.reply_to, len(message.attachments)) == ("12 March", "5", 1)


def test_a_forwarded_message_says_what_it_forwards_and_answers_nothing():
    forwarded = dc_message(
        content="",
        message_reference={"type": 1, "message_id": "5"},
        message_snapshots=[{"message": {"content": "the words", "attachments": [dc_file()]}}],
    )
    message = said(forwarded)
    assert (message.text, message.reply_to, len(message.attachments)) == ("the words", None, 1)


def test_an_edited_message_is_another_one():
    edited = said(dc_message(edited_timestamp="2021-05-24T21:00:00+00:00"))
    assert edited.external_id == "846462639134605312:2021-05-24T21:00:00+00:00"
    assert edited.metadata["edited"] == "846462639134605312"


def test_what_bots_say_is_not_taken_so_that_nobody_talks_with_himself():
    assert discord.messages(packed(dc_message(author={"id": "1", "bot": True})), "guild") == ()


def test_an_event_that_is_no_message_is_none():
    event = {"version": 1, "type": 1, "event": {"type": "ENTITLEMENT_CREATE", "data": {}}}
    assert discord.messages(packed(event), "guild") == ()
    assert discord.messages(packed({"version": 1, "type": 0}), "guild") == ()


def test_a_kind_that_nobody_knew_yet_is_kept_as_it_is():
    message = said(dc_interaction(99, data={"depth": 3}))
    assert (message.metadata["kind"], message.data) == ("interaction_99", {"data": {"depth": 3}})


def test_every_fault_is_named_at_once():
    data = {"name": "x", "options": [{"type": 11, "value": "78"}, {"type": 3, "value": "v"}]}
    payload = dc_interaction(2, id="abc", data=data) | {"member": {"user": {}}}
    with pytest.raises(NotUnderstood) as raised:
        discord.messages(packed(payload), "guild")
    assert set(raised.value.faults) == {
        "/id is no snowflake",
        "/member/user/id is missing",
        "/data/resolved/attachments/78 is missing",
        "/data/options/1/name is missing",
    }
