"""E-mail (RFC 5322 and MIME) to messages: one .eml is one message.

Nothing in a mail can be relied on: the standard library's parser raises errors of many kinds for broken headers and
parts, so each is read by itself, and what cannot be read is taken as it stands.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.message import Message
from email.parser import BytesParser
from email.policy import default
from email.utils import getaddresses, parsedate_to_datetime
from typing import Any, Final, TypeAlias, cast

from records.channels import form
from records.channels.email_body import own_words, text_of_html
from records.channels.errors import NotUnderstood
from records.channels.form import Draft, File, Incoming

Mail: TypeAlias = "Message[str, Any]"

_ID: Final = re.compile(r"<[^<>\s]{1,900}>")
_MOST_PARTS: Final = 1_000
_LONGEST_HEADER: Final = 50_000


def messages(
    body: bytes, source: str, headers: Mapping[str, str] | None = None, received_at: datetime | None = None
) -> tuple[Incoming, ...]:
    """Exactly one. The key is the Message-ID, or the hash of a mail without one.

    `sender` is who an answer goes to (Reply-To before From), `conversation` the mail that the thread began with,
    `reply_to` what In-Reply-To names, else the last of References. An answer has only its own words; what machines
    send by themselves (out of office, bounces) has the metadata `automatic`. Raises NotUnderstood.
    """
    mail = _parsed(body)
    sent_at, (name, sender) = _date(mail) or received_at, _sender(mail)
    faults = [] if sender else ["it has no From"]
    faults += [] if sent_at else ["it has no Date, and when it came is not said"]
    if faults or sent_at is None:
        raise NotUnderstood(faults)
    draft = _draft(mail, body, sent_at)._replace(sender=sender, name=name)
    message, contents = form.message("email", source, draft)
    return (Incoming(message, body, "message/rfc822", contents),)


def text_of(body: bytes) -> str:
    """What a mail says, all of it: of one that is attached to another. Raises NotUnderstood."""
    return _text(_parsed(body))


def _draft(mail: Mail, body: bytes, sent_at: datetime) -> Draft:
    references = _ID.findall(_header(mail, "References"))
    replied = [*_ID.findall(_header(mail, "In-Reply-To"))[:1], *references[-1:]]
    own = _ID.findall(_header(mail, "Message-ID"))
    key = own[0] if own else hashlib.sha256(body).hexdigest()
    text = _text(mail)
    return Draft(
        external_id=key,
        sender="",
        sent_at=sent_at,
        conversation=[*references, *replied, key][0],
        text=own_words(text) if replied else text,
        files=list(_files(mail)),
        reply_to=replied[0] if replied else None,
        metadata={
            "kind": "email",
            "subject": _header(mail, "Subject"),
            "from": _header(mail, "From"),
            "to": _header(mail, "To"),
            "cc": _header(mail, "Cc"),
            "references": " ".join(references[-20:]),
            "automatic": _automatic(mail),
        },
    )


def _parsed(body: bytes) -> Mail:
    try:
        return BytesParser(policy=default).parsebytes(body)
    except Exception as error:  # the parser's errors are of any kind, and all mean this
        raise NotUnderstood([f"it is no mail ({type(error).__name__})"]) from None


def _header(mail: Mail, name: str) -> str:
    try:
        value = str(mail.get(name, ""))
    except Exception:  # the parser of structured headers fails on broken ones: IndexError, AttributeError, ...
        value = next((str(raw) for key, raw in mail.raw_items() if key.lower() == name.lower()), "")
    return " ".join(_readable(value[:_LONGEST_HEADER]).split())


def _readable(text: str) -> str:
    """Bytes outside ASCII come as surrogates: most are UTF-8."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _sender(mail: Mail) -> tuple[str, str]:
    for name in ("Reply-To", "From", "Sender", "Return-Path"):
        found = [(who, address) for who, address in getaddresses([_header(mail, name)]) if "@" in address]
        if found:
            shown = found[0][0] or next((who for who, _ in getaddresses([_header(mail, "From")]) if who), "")
            return shown, found[0][1]
    return "", ""


def _date(mail: Mail) -> datetime | None:
    try:
        found = parsedate_to_datetime(_header(mail, "Date"))
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _automatic(mail: Mail) -> str:
    """RFC 3834, and what was usual before it: nobody has answered."""
    if _type(mail) == "multipart/report":
        return "report"
    submitted = _header(mail, "Auto-Submitted").lower()
    if submitted and submitted != "no":
        return "reply" if submitted.startswith("auto-replied") else "message"
    precedence = _header(mail, "Precedence").lower() == "auto_reply"
    return "reply" if precedence or _header(mail, "X-Autoreply") or _header(mail, "X-Autorespond") else ""


def _type(part: Mail) -> str:
    try:
        return part.get_content_type()
    except Exception:  # as above
        return "application/octet-stream"


def _parts(mail: Mail) -> Iterator[Mail]:
    """Everything that is no container, in order; a mail within is one part, and what it holds follows."""
    waiting, seen = [mail], 0
    while waiting and seen < _MOST_PARTS:
        part, seen = waiting.pop(), seen + 1
        inner = _inner(part)
        if not inner or _type(part) == "message/rfc822":
            yield part
        waiting += reversed(inner)


def _inner(part: Mail) -> list[Mail]:
    payload: object = cast(object, part.get_payload())
    if not isinstance(payload, list):
        return []
    return [one for one in cast(list[object], payload) if isinstance(one, Message)]


def _text(mail: Mail) -> str:
    """Plain text where there is some, else the HTML as text; of a mail within, nothing."""
    plain: list[str] = []
    html: list[str] = []
    within: set[int] = set()
    for part in _parts(mail):
        if id(part) in within:
            continue
        if _type(part) == "message/rfc822":
            within |= {id(one) for inner in _inner(part) for one in _parts(inner)}
        elif _is_body(part):
            (html if _type(part) == "text/html" else plain).append(_decoded(part))
    said = "\n\n".join(text.strip() for text in plain if text.strip())
    return said or "\n\n".join(filter(None, map(text_of_html, html)))


def _is_body(part: Mail) -> bool:
    return _type(part) in ("text/plain", "text/html") and _disposition(part) != "attachment" and not _name(part)


def _files(mail: Mail) -> Iterator[File]:
    for part in _parts(mail):
        media_type = _type(part)
        if media_type == "message/rfc822":
            inner = _inner(part)
            name = _name(part) or (_header(inner[0], "Subject") if inner else "") or "message"
            yield form.file(f"{name[:290].removesuffix('.eml')}.eml", media_type, _bytes_of(inner[0]) if inner else b"")
        elif not _is_body(part):
            name = _name(part) or f"unnamed.{form.ending(media_type)}"
            yield form.file(name, media_type, _content(part))


def _disposition(part: Mail) -> str:
    try:
        return part.get_content_disposition() or ""
    except Exception:  # as above
        return "attachment"


def _name(part: Mail) -> str:
    """Without directories: it is a name, not a place."""
    try:
        name = part.get_filename() or ""
    except Exception:  # as above
        name = ""
    return re.split(r"[/\\]", " ".join(_readable(name).split()))[-1]


def _content(part: Mail) -> bytes:
    try:
        content: object = cast(object, part.get_payload(decode=True))
        if isinstance(content, bytes):
            return content
    except Exception:  # as above
        pass
    return _bytes_of(part)


def _bytes_of(mail: Mail) -> bytes:
    try:
        return mail.as_bytes()
    except Exception:  # a generator fails where the parser did not
        payload: object = cast(object, mail.get_payload())
        return (payload if isinstance(payload, str) else "").encode("utf-8", "surrogateescape")


def _decoded(part: Mail) -> str:
    """By the charset that is declared, if it is one and the bytes are; else by the first that fits."""
    content = _content(part)
    try:
        declared = part.get_content_charset() or "utf-8"
    except Exception:  # as above
        declared = "utf-8"
    for charset in (declared, "utf-8", "cp1252"):
        try:
            return content.decode(charset)
        except (LookupError, ValueError):
            continue
    return content.decode("latin-1")
