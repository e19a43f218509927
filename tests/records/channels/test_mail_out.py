"""A local server receives the mail."""

import email
import email.policy
import socket
from datetime import UTC, datetime

import httpx
import pytest
from aiosmtpd.controller import Controller

from domain.message import Message, Sender
from domain.source import Configuration, Reply
from records.channels import email as mails
from records.channels import send
from records.channels.errors import SendFailed, SendRefused


class Inbox:
    """Keeps what it takes; `says` is its answer to the recipient."""

    def __init__(self):
        self.taken = []
        self.says = "250 OK"

    async def handle_RCPT(self, server, session, envelope, address, options):
        if self.says.startswith("2"):
            envelope.rcpt_tos.append(address)
        return self.says

    async def handle_DATA(self, server, session, envelope):
        self.taken.append((envelope.mail_from, envelope.rcpt_tos, envelope.content))
        return "250 OK"


@pytest.fixture
def inbox():
    inbox = Inbox()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        inbox.port = free.getsockname()[1]
    controller = Controller(inbox, hostname="127.0.0.1", port=inbox.port)
    controller.start()
    yield inbox
    controller.stop()


def source(port, token=None, account="Records <records@example.com>"):
    return Configuration("email", "Desk", reply=Reply(api=f"smtp://127.0.0.1:{port}", account=account, token=token))


def message(sender="ann@example.org", external_id="<m2@example.org>", conversation="<m1@example.org>"):
    metadata = {"subject": "Invoice"}
    return Message("email", "inbox", external_id, Sender(sender), datetime.now(UTC), conversation, metadata=metadata)


async def ask(inbox, key="k1", text="Quelle est la date ?", secrets=None, configuration=None, **asked):
    async with httpx.AsyncClient() as client:
        return await send(client, configuration or source(inbox.port), secrets or {}, message(**asked), text, key)


async def test_a_question_is_a_mail_in_the_thread_of_what_it_asks_about(inbox):
    sent = await ask(inbox)
    ((sender, recipients, content),) = inbox.taken
    mail = email.message_from_bytes(content, policy=email.policy.default)
    assert (sender, recipients) == ("records@example.com", ["ann@example.org"])
    assert (mail["Subject"], mail["In-Reply-To"], mail["Message-ID"]) == ("Re: Invoice", "<m2@example.org>", sent)
    assert mail["References"] == "<m1@example.org> <m2@example.org>"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail.get_content().strip() == "Quelle est la date ?"


async def test_the_same_key_has_the_same_message_id(inbox):
    assert await ask(inbox) == await ask(inbox) != await ask(inbox, key="k2")


async def test_an_answer_to_it_is_matched(inbox):
    sent = await ask(inbox)
    question = email.message_from_bytes(inbox.taken[0][2], policy=email.policy.default)
    answer = (
        "From: ann@example.org\r\nDate: Mon, 16 Nov 2026 10:12:00 +0100\r\nMessage-ID: <m3@example.org>\r\n"
        f"In-Reply-To: {question['Message-ID']}\r\n"
        f"References: {question['References']} {question['Message-ID']}\r\n\r\n"
        "12 March\r\n"
    )
    (incoming,) = mails.messages(answer.encode(), "inbox")
    assert (incoming.message.reply_to, incoming.message.conversation) == (sent, message().conversation)


async def test_a_stranger_adds_no_header(inbox):
    await ask(inbox, external_id="<m2@a>\r\nBcc: all@example.org", conversation="<m1@a>\r\nBcc: all@example.org")
    ((_, recipients, content),) = inbox.taken
    assert recipients == ["ann@example.org"]
    assert email.message_from_bytes(content)["Bcc"] is None
    with pytest.raises(SendRefused):
        await ask(inbox, sender="ann@example.org\r\nBcc: all@example.org")
    assert len(inbox.taken) == 1


@pytest.mark.parametrize(("says", "error"), [("450 later", SendFailed), ("550 no such user", SendRefused)])
async def test_what_the_server_says_for_now_is_told_from_what_it_says_for_ever(inbox, says, error):
    inbox.says = says
    with pytest.raises(error, match=says[:3]):
        await ask(inbox)
    assert inbox.taken == []


async def test_a_password_is_not_sent_where_everybody_can_read_it(inbox):
    with pytest.raises((SendFailed, SendRefused)) as raised:
        await ask(inbox, configuration=source(inbox.port, token="PASSWORD"), secrets={"PASSWORD": "hushhush"})
    assert "hushhush" not in str(raised.value)
    assert inbox.taken == []


async def test_a_server_that_is_away_may_be_asked_again():
    with pytest.raises(SendFailed) as raised:
        await ask(None, configuration=source(1))
    assert raised.value.retryable


@pytest.mark.parametrize(
    "reply",
    [
        Reply(),
        Reply(account="a@b.c"),
        Reply(api="https://x", account="a@b.c"),
        Reply(api="smtp://x:99999", account="a@b.c"),
    ],
)
async def test_what_is_not_configured_is_refused(reply):
    with pytest.raises(SendRefused):
        await ask(None, configuration=Configuration("email", "Desk", reply=reply))
