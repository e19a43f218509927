import time
from datetime import UTC, datetime
from email.message import EmailMessage

import pytest

from domain.message import LONGEST_TEXT
from records.channels import email
from records.channels.email_body import own_words, text_of_html
from records.channels.errors import NotUnderstood

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def mail(text="The invoice is attached.", **headers):
    made = EmailMessage()
    named = {"From": "Ann Bee <ann@example.org>", "To": "records@example.com", "Subject": "Invoice"}
    named |= {"Date": "Mon, 16 Nov 2026 10:12:00 +0100", "Message-ID": "<m1@example.org>"}
    for name, value in (named | {key.replace("_", "-"): value for key, value in headers.items()}).items():
        if value is not None:
            made[name] = value
    made.set_content(text)
    return made


def taken(body, received_at=None):
    (incoming,) = email.messages(bytes(body), "inbox", None, received_at)
    return incoming


def test_a_mail_has_its_sender_its_key_and_its_time_in_utc():
    message = taken(mail()).message
    assert (message.sender.id, message.sender.name, message.external_id) == (
        "ann@example.org",
        "Ann Bee",
        "<m1@example.org>",
    )
    assert message.sent_at == datetime(2026, 11, 16, 9, 12, tzinfo=UTC)
    assert (message.text, message.metadata["subject"]) == ("The invoice is attached.", "Invoice")
    assert (message.conversation, message.reply_to) == ("<m1@example.org>", None)


def test_the_original_is_the_mail_byte_for_byte():
    body = bytes(mail())
    assert (taken(body).original, taken(body).original_type) == (body, "message/rfc822")


def test_an_answer_is_matched_by_in_reply_to_in_the_thread_that_references_began_with():
    answer = mail(
        "12 March\n\nOn Mon, 16 Nov 2026 at 10:12, Records <records@example.com> wrote:\n> Date?\n",
        Message_ID="<m3@example.org>",
        In_Reply_To="<q2@example.com>",
        References="<m1@example.org> <q2@example.com>",
    )
    message = taken(answer).message
    assert (message.reply_to, message.conversation, message.text) == (
        "<q2@example.com>",
        "<m1@example.org>",
        "12 March",
    )


def test_without_in_reply_to_the_last_of_references_is_answered():
    assert taken(mail(References="<m1@a> <q2@b>", Message_ID="<m3@a>")).message.reply_to == "<q2@b>"


def test_a_mail_that_answers_nothing_keeps_what_it_quotes():
    text = "See below\n> quoted\n-- \nAnn"
    assert taken(mail(text)).message.text == text


def test_an_answer_goes_to_reply_to():
    assert taken(mail(Reply_To="desk@example.org")).message.sender.id == "desk@example.org"


def test_plain_text_is_preferred_to_html_and_html_is_read_where_there_is_no_other():
    both = mail("plain")
    both.add_alternative("<p>rich</p>", subtype="html")
    assert (taken(both).message.text, taken(both).message.attachments) == ("plain", ())
    only = mail()
    only.set_content("<style>p {}</style><p>Total: <b>12</b> EUR</p><p>Paid</p>", subtype="html")
    assert taken(only).message.text == "Total: 12 EUR\nPaid"


def test_attachments_come_along_those_of_a_mail_within_too():
    inner = mail("inner words", Subject="Forwarded")
    inner.add_attachment(b"%PDF-1", maintype="application", subtype="pdf", filename="../../inner.pdf")
    outer = mail()
    outer.add_attachment(b"a;b\r\n", maintype="text", subtype="csv", filename="table.csv")
    outer.add_attachment(inner)
    incoming = taken(outer)
    assert [(one.name, one.media_type) for one in incoming.message.attachments] == [
        ("table.csv", "text/csv"),
        ("Forwarded.eml", "message/rfc822"),
        ("inner.pdf", "application/pdf"),
    ]
    assert incoming.message.text == "The invoice is attached."
    assert (incoming.contents[0], incoming.contents[2]) == (b"a;b\r\n", b"%PDF-1")
    assert email.text_of(incoming.contents[1]) == "inner words"


@pytest.mark.parametrize(
    ("charset", "content", "text"),
    [
        ("utf-8", "Numéro 5", "Numéro 5"),
        ("iso-8859-1", "Numéro 5", "Numéro 5"),
        ("no-such-charset", "Numéro 5", "Numéro 5"),
        ("us-ascii", "Numéro 5", "Numéro 5"),
        ("", "Numéro 5", "Numéro 5"),
    ],
)
def test_a_charset_that_is_wrong_or_none_is_guessed(charset, content, text):
    encoding = "latin-1" if charset == "iso-8859-1" else "utf-8"
    body = b'From: a@b.c\r\nDate: Mon, 16 Nov 2026 10:12:00 +0100\r\nContent-Type: text/plain; charset="%s"\r\n\r\n%s'
    assert taken(body % (charset.encode(), content.encode(encoding))).message.text == text


def test_bytes_that_are_no_utf_8_are_read_as_those_of_windows():
    body = (
        b"From: a@b.c\r\nDate: Mon, 16 Nov 2026 10:12:00 +0100\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n5 \x80"
    )
    assert taken(body).message.text == "5 €"


@pytest.mark.parametrize(
    "header",
    [
        b"From: =?utf-8?B?!!!!?= <a@b.c>",
        b"From: \xff\xfe <a@b.c>",
        b"From: a@b.c\r\nTo: <<<>>>;;;,,,@@",
        b"From: a@b.c\r\nContent-Type: multipart/mixed",
        b"From: a@b.c\r\nContent-Type: text/plain; charset*=x'''; filename*0*=%",
        b"From: a@b.c\r\nContent-Disposition: attachment; filename*=utf-8''%ff%00",
        b"From: a@b.c\r\nContent-Transfer-Encoding: base64",
        b"From: a@b.c\r\nMessage-ID: <[broken@\r\nIn-Reply-To: nothing\r\nReferences: \x00",
        b"From: a@b.c\r\nDate: 99 Foo 99999 99:99:99 +9999",
    ],
)
def test_a_broken_header_does_not_lose_the_mail(header):
    message = taken(header + b"\r\n\r\nAmount: 5", NOW).message
    assert (message.sender.id, message.sent_at) == ("a@b.c", NOW)


def test_a_mail_without_a_key_is_known_by_its_bytes():
    one, other = taken(mail(Message_ID=None)).message, taken(mail("other", Message_ID=None)).message
    assert one.external_id == taken(mail(Message_ID=None)).message.external_id != other.external_id


@pytest.mark.parametrize(
    ("headers", "kind"),
    [
        ({"Auto_Submitted": "auto-replied"}, "reply"),
        ({"Auto_Submitted": "auto-generated"}, "message"),
        ({"X_Autoreply": "yes"}, "reply"),
        ({"Auto_Submitted": "no"}, None),
        ({}, None),
    ],
)
def test_what_a_machine_sent_by_itself_says_so(headers, kind):
    assert taken(mail(**headers)).message.metadata.get("automatic") == kind


def test_every_fault_is_named_at_once():
    with pytest.raises(NotUnderstood) as raised:
        taken(b"no mail at all")
    assert raised.value.faults == ("it has no From", "it has no Date, and when it came is not said")


def test_a_text_that_is_too_long_is_an_attachment():
    incoming = taken(mail("word " * 50_000))
    assert incoming.message.text == ""
    assert incoming.message.attachments[0].name == "text.txt"
    assert len(incoming.contents[0]) > LONGEST_TEXT


HISTORIES = [
    "Le lun. 16 nov. 2026 à 10:12, Records <r@example.com> a écrit :\n> Date ?",
    "Am 16.11.2026 um 10:12 schrieb Records <r@example.com>:\n> Datum?",
    "El lun, 16 nov 2026 a las 10:12, Records (<r@example.com>) escribió:\n> Fecha?",
    "On Mon, 16 Nov 2026 at 10:12, Records of a very long name\n<r@example.com> wrote:\n\n> Date?",
    "-----Original Message-----\nFrom: Records\nDate?",
    "________________________________\nDe : Records <r@example.com>\nEnvoyé : lundi 16 novembre 2026\nDate ?",
    "From: Records <r@example.com>\nSent: Monday\nTo: Ann\nSubject: Invoice\n\nDate?",
    "> Date?\n> Amount?",
    "-- \nAnn Bee\nTel. 1",
    "Sent from my iPhone",
]


@pytest.mark.parametrize("history", HISTORIES)
def test_of_an_answer_the_history_and_the_signature_are_cut_off(history):
    assert own_words(f"12 March\r\n30 EUR\n\n{history}").rstrip("_\n") == "12 March\n30 EUR"


def test_answers_between_quoted_questions_are_kept():
    assert own_words("> Date?\n12 March\n> Amount?\n30 EUR") == "12 March\n30 EUR"


def test_when_everything_is_quoted_nothing_is_cut_off():
    assert own_words("> Date? 12 March") == "> Date? 12 March"


@pytest.mark.parametrize("text", ["On Monday we paid 30 EUR.", "From: Paris\nto Lyon by train", "He wrote: yes"])
def test_a_sentence_that_only_looks_like_a_history_stays(text):
    assert own_words(f"{text}\nThe end") == f"{text}\nThe end"


def test_html_has_lines_cells_and_quotations():
    html = "<p>Yes</p>and<br>no<table><tr><td>a<td>b</tr></table><blockquote>old<div>older</div></blockquote>end"
    assert text_of_html(html) == "Yes\nand\nno\na\tb\n> old\n> older\nend"


@pytest.mark.parametrize(
    "piece", ["On ", "On <a@", "From: a\n", "<div>", "<!--", "<a b='", ">", "-", "On a@\nwrote:\n"]
)
def test_a_text_of_a_stranger_takes_no_more_time_than_it_is_long(piece):
    before = time.process_time()
    own_words(piece * 20_000)
    text_of_html(piece * 20_000)
    assert time.process_time() - before < 3


def test_a_thousand_mails_within_each_other_do_no_harm():
    body = b"Content-Type: message/rfc822\r\n\r\n" * 3_000
    with pytest.raises(NotUnderstood):
        taken(body)
    within = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" * 50
    assert taken(b"From: a@b.c\r\n" + within + b"\r\nhello\r\n", NOW).message.text == "hello"
