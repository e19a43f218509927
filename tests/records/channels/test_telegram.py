from datetime import UTC, datetime

import pytest

from records.channels import telegram
from records.channels.errors import NotGenuine, NotUnderstood
from tests.records.channels.payloads import packed, tg_update

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def said(kind="message", **fields):
    (incoming,) = telegram.messages(tg_update(kind, **fields), "bot")
    return incoming.message


def test_the_secret_token_has_to_be_the_one_that_the_webhook_was_set_with():
    telegram.verify({"x-telegram-bot-api-secret-token": "hush"}, b"", "hush")
    for headers in ({}, {"X-Telegram-Bot-Api-Secret-Token": ""}, {"X-Telegram-Bot-Api-Secret-Token": "hüsh"}):
        with pytest.raises(NotGenuine):
            telegram.verify(headers, b"", "hush")


def test_an_empty_secret_lets_nobody_in():
    with pytest.raises(NotGenuine):
        telegram.verify({"X-Telegram-Bot-Api-Secret-Token": ""}, b"", "")


def test_a_text_is_known_by_its_update():
    message = said(text="/start")
    assert (message.external_id, message.text, message.sender.id) == ("10000", "/start", "1111111")
    assert (message.sender.name, message.conversation) == ("Test Lastname", "1111111")
    assert message.sent_at == datetime(2015, 9, 7, 17, 5, 32, tzinfo=UTC)
    assert message.metadata == {
        "kind": "text",
        "update": "message",
        "message_id": "1365",
        "chat_type": "private",
    }


def test_an_answer_names_chat_and_message_as_ids_count_from_one_in_every_chat():
    assert said(text="12", reply_to_message={"message_id": 1334}).reply_to == "1111111:1334"


def test_an_edited_message_is_another_one_that_says_which_it_replaces():
    message = said("edited_message", update_id=10001, text="changed", edit_date=1441646600)
    assert (message.external_id, message.metadata["edited"]) == ("10001", "1111111:1365")
    assert message.sent_at == datetime(2015, 9, 7, 17, 23, 20, tzinfo=UTC)


def test_a_channel_speaks_for_itself():
    body = packed(
        {
            "update_id": 5,
            "channel_post": {
                "message_id": 9,
                "sender_chat": {"id": -100123, "title": "News", "type": "channel"},
                "chat": {"id": -100123, "title": "News", "type": "channel"},
                "date": 1441645532,
                "text": "hello",
            },
        }
    )
    (incoming,) = telegram.messages(body, "bot")
    assert (incoming.message.sender.id, incoming.message.sender.name) == ("-100123", "News")


def test_of_a_photo_the_largest_is_taken():
    sizes = [
        {"file_id": "small", "width": 90, "height": 51, "file_size": 1101},
        {"file_id": "large", "width": 1280, "height": 720, "file_size": 142_000},
        {"file_id": "middle", "width": 320, "height": 180, "file_size": 9000},
    ]
    message = said(photo=sizes, caption="the receipt")
    assert [one.remote for one in message.attachments] == ["large"]
    assert (message.text, message.attachments[0].size, message.metadata["kind"]) == ("the receipt", 142_000, "photo")


@pytest.mark.parametrize(
    ("kind", "media_type"),
    [("document", "application/octet-stream"), ("voice", "audio/ogg"), ("audio", "audio/mpeg"), ("video", "video/mp4")],
)
def test_files_are_attachments_by_their_id(kind, media_type):
    (attachment,) = said(**{kind: {"file_id": "AwADBAAD", "file_size": 23392}}).attachments
    assert (attachment.remote, attachment.size, attachment.media_type) == ("AwADBAAD", 23392, media_type)
    named = said(**{kind: {"file_id": "A", "file_name": "a.pdf", "mime_type": "application/pdf"}}).attachments[0]
    assert (named.name, named.media_type) == ("a.pdf", "application/pdf")


def test_an_animation_which_comes_as_a_document_too_is_one_file():
    file = {"file_id": "A", "mime_type": "video/mp4"}
    assert len(said(animation=file, document=file).attachments) == 1


def test_places_and_contacts_are_fields():
    assert said(location={"latitude": 1.5, "longitude": 2.5}).data == {"location": {"latitude": 1.5, "longitude": 2.5}}
    contact = {"phone_number": "+33612345678", "first_name": "Ann", "last_name": "Bee"}
    message = said(contact=contact)
    assert (message.text, message.data) == ("Ann Bee", {"contact": contact})


def test_a_kind_that_nobody_knew_yet_is_kept_as_it_is():
    message = said(hologram={"depth": 3})
    assert (message.metadata["kind"], message.data) == ("hologram", {"hologram": {"depth": 3}})
    (incoming,) = telegram.messages(packed({"update_id": 1, "telepathy": {"from": {"id": 7}}}), "bot", None, NOW)
    assert (incoming.message.metadata["kind"], incoming.message.sender.id) == ("telepathy", "7")


def test_a_tapped_button_answers_the_message_it_is_below():
    query = {
        "id": "4382bfdwdsb323b2d9",
        "from": {"id": 1111111, "first_name": "Test", "is_bot": False},
        "message": {"message_id": 12, "chat": {"id": 42, "type": "private"}, "date": 1441645532},
        "data": "yes",
    }
    (incoming,) = telegram.messages(packed({"update_id": 6, "callback_query": query}), "bot", None, NOW)
    message = incoming.message
    assert (message.text, message.reply_to, message.conversation, message.sent_at) == ("yes", "42:12", "42", NOW)


@pytest.mark.parametrize("kind", ["my_chat_member", "poll", "inline_query"])
def test_an_update_that_says_nothing_to_us_is_no_message(kind):
    assert telegram.messages(packed({"update_id": 1, kind: {}}), "bot") == ()


def test_every_fault_is_named_at_once():
    with pytest.raises(NotUnderstood) as raised:
        telegram.messages(packed({"message": {"text": 5, "photo": [1], "from": {}, "date": "x", "chat": []}}), "bot")
    assert set(raised.value.faults) == {
        "/update_id is missing",
        "/message/chat is no object",
        "/message/chat/id is missing",
        "/message/message_id is missing",
        "/message/text is no text",
        "/message/photo/0 is no object",
        "/message/date is no time in seconds",
    }
