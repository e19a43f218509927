from datetime import UTC, datetime

import pytest

from records.channels import whatsapp
from records.channels.errors import NotGenuine, NotUnderstood
from tests.records.channels.payloads import packed, wa_change, wa_delivery, wa_message, wa_signed

SECRET = "app-secret"


def said(**message):
    (incoming,) = whatsapp.messages(wa_delivery(wa_change(wa_message(**message))), "clinic")
    return incoming.message


def test_a_delivery_is_genuine_when_its_signature_is_that_of_the_raw_body():
    body = wa_delivery(wa_change(wa_message(text={"body": "hi"})))
    whatsapp.verify(wa_signed(body, SECRET), body, SECRET)
    whatsapp.verify({key.lower(): value for key, value in wa_signed(body, SECRET).items()}, body, SECRET)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Hub-Signature-256": ""},
        {"X-Hub-Signature-256": "sha256=é"},
        {"X-Hub-Signature-256": "sha1=" + "0" * 40},
        {"X-Hub-Signature-256": "sha256=" + "0" * 64},
        wa_signed(b"other body", SECRET),
        wa_signed(b"body", "other secret"),
    ],
)
def test_any_other_signature_is_refused(headers):
    with pytest.raises(NotGenuine):
        whatsapp.verify(headers, b"body", SECRET)


def test_one_byte_more_is_another_body():
    with pytest.raises(NotGenuine):
        whatsapp.verify(wa_signed(b"body", SECRET), b"body ", SECRET)


def test_the_challenge_is_given_back_for_the_right_token_only():
    query = {"hub.mode": "subscribe", "hub.verify_token": "hush", "hub.challenge": "1158201444"}
    assert whatsapp.challenge(query, "hush") == "1158201444"
    for wrong in ({**query, "hub.verify_token": "é"}, {**query, "hub.mode": "unsubscribe"}, {}):
        with pytest.raises(NotGenuine):
            whatsapp.challenge(wrong, "hush")


def test_a_text_has_its_sender_its_key_and_its_time_in_utc():
    message = said(text={"body": "Does it come in another color?"})
    assert (message.platform, message.source, message.text) == ("whatsapp", "clinic", "Does it come in another color?")
    assert message.external_id == "wamid.HBgLMTY1MDM4Nzk0MzkVAgASGBQzQTRC"
    assert (message.sender.id, message.sender.name, message.conversation) == (
        "16503879439",
        "Sheena Nelson",
        "16503879439",
    )
    assert message.sent_at == datetime(2025, 6, 8, 20, 59, 43, tzinfo=UTC)
    assert message.metadata["phone_number_id"] == "106540352242922"


def test_an_answer_names_the_message_that_it_replies_to():
    assert (
        said(text={"body": "12 March"}, context={"from": "15550783881", "id": "wamid.ASKED"}).reply_to == "wamid.ASKED"
    )


@pytest.mark.parametrize("kind", ["image", "document", "audio", "video", "sticker", "voice"])
def test_media_are_attachments_by_their_id(kind):
    media = {"caption": "the invoice", "mime_type": "application/pdf", "sha256": "x", "id": "2754859441498128"}
    message = said(kind=kind, **{kind: {**media, "filename": "invoice.pdf"}})
    (attachment,) = message.attachments
    assert (attachment.remote, attachment.name, attachment.media_type) == (
        "2754859441498128",
        "invoice.pdf",
        "application/pdf",
    )
    assert (message.text, message.metadata["kind"]) == ("the invoice", kind)


def test_media_without_a_name_are_called_by_their_type():
    assert said(kind="image", image={"id": "1", "mime_type": "image/jpeg"}).attachments[0].name == "image.jpg"


def test_places_contacts_and_choices_are_fields():
    place = {"latitude": 37.44, "longitude": -122.16, "name": "Philz Coffee", "address": "101 Forest Ave"}
    assert said(kind="location", location=place).data == {"location": place}
    contact = {"name": {"formatted_name": "Barbara Johnson"}, "phones": [{"phone": "+16505559999"}]}
    message = said(kind="contacts", contacts=[contact])
    assert (message.text, message.data) == ("Barbara Johnson", {"contacts": [contact]})
    message = said(kind="button", button={"payload": "STOP", "text": "Stop it"})
    assert (message.text, message.data) == ("Stop it", {"choice": "STOP"})
    for kind in ("button_reply", "list_reply"):
        message = said(kind="interactive", interactive={"type": kind, kind: {"id": "yes", "title": "Yes"}})
        assert (message.text, message.data) == ("Yes", {"choice": "yes"})


def test_a_form_that_was_filled_in_is_fields():
    filled = {"type": "nfm_reply", "nfm_reply": {"body": "Sent", "response_json": '{"amount": 12.5}'}}
    assert said(kind="interactive", interactive=filled).data == {"amount": 12.5}
    broken = {"type": "nfm_reply", "nfm_reply": {"body": "Sent", "response_json": "{"}}
    assert said(kind="interactive", interactive=broken).data == {"interactive": broken}


def test_a_reaction_is_an_answer_of_one_sign():
    message = said(kind="reaction", reaction={"message_id": "wamid.ASKED", "emoji": "👍"})
    assert (message.text, message.reply_to) == ("👍", "wamid.ASKED")


def test_a_kind_that_nobody_knew_yet_is_kept_as_it_is():
    message = said(kind="hologram", hologram={"depth": 3})
    assert (message.metadata["kind"], message.data) == ("hologram", {"hologram": {"depth": 3}})
    assert said(kind="unsupported", errors=[{"code": 131051}]).metadata["kind"] == "unsupported"


def test_who_hides_the_number_is_known_by_the_id_of_the_business():
    message = wa_message(text={"body": "hi"}) | {"from_user_id": "US.13491208655302741918"}
    del message["from"]
    (incoming,) = whatsapp.messages(wa_delivery(wa_change(message)), "clinic")
    assert incoming.message.sender.id == "US.13491208655302741918"


def test_one_delivery_holds_messages_of_many_changes_in_any_order_and_statuses_are_none():
    statuses = wa_change(statuses=[{"id": "wamid.OURS", "status": "read", "timestamp": "1", "recipient_id": "1"}])
    late = wa_message(id="wamid.2", text={"body": "second"})
    first = wa_message(id="wamid.1", text={"body": "first"}) | {"timestamp": "1749416000"}
    body = wa_delivery(wa_change(late), statuses, wa_change(first))
    found = whatsapp.messages(body, "clinic")
    assert [one.message.external_id for one in found] == ["wamid.2", "wamid.1"]
    assert found[0].message.sent_at > found[1].message.sent_at
    assert {one.original for one in found} == {body}
    assert whatsapp.messages(wa_delivery(statuses), "clinic") == ()


def test_a_delivery_that_is_replayed_gives_the_same_messages():
    body = wa_delivery(wa_change(wa_message(text={"body": "hi"})))
    assert whatsapp.messages(body, "clinic") == whatsapp.messages(body, "clinic")


def test_every_fault_is_named_at_once():
    faulty = [{"type": "text", "text": "no object"}, {"from": "1", "id": 7.5, "timestamp": "soon"}, "no message"]
    with pytest.raises(NotUnderstood) as raised:
        whatsapp.messages(wa_delivery(wa_change(*faulty)), "clinic")
    at = "/entry/0/changes/0/value/messages"
    assert set(raised.value.faults) == {
        f"{at}/2 is no object",
        f"{at}/0/from is missing",
        f"{at}/0/id is missing",
        f"{at}/0/timestamp is missing",
        f"{at}/0/text is no object",
        f"{at}/1/id is no text",
        f"{at}/1/timestamp is no time in seconds",
    }


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b"{", b"[" * 100_000, packed("text")])
def test_what_is_no_delivery_is_said_to_be_none(body):
    with pytest.raises(NotUnderstood):
        whatsapp.messages(body, "clinic")
