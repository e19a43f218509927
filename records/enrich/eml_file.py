"""An e-mail: its head and body as text, and what is attached to it."""

from __future__ import annotations

from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from typing import Final

from records.enrich import limits, markup
from records.enrich.content import Collected, NotReadable
from records.enrich.decoding import decode

_SHOWN: Final = ("From", "To", "Cc", "Date", "Subject")
Attached = tuple[str, str, bytes]
"""Name, media type, content."""


def read_eml(content: bytes, into: Collected) -> list[Attached]:
    """Raises NotReadable."""
    try:
        message = BytesParser(EmailMessage, policy=policy.default).parsebytes(content)
        _head(message, into)
        body = message.get_body(("plain", "html"))
        if isinstance(body, EmailMessage):
            _body(body, into)
        return _attached(message, body, into)
    except (NotReadable, MemoryError):
        raise
    except Exception as error:  # the parser of the standard library trusts headers: it raises whatever it meets
        raise NotReadable(f"the e-mail is broken: {type(error).__name__}: {error}") from error


def _head(message: EmailMessage, into: Collected) -> None:
    for name in _SHOWN:
        value = str(message.get(name, ""))
        if value.strip():
            into.add(f"{name}: {' '.join(value.split())}")


def _body(body: EmailMessage, into: Collected) -> None:
    if body.get_content_type() == "text/html":
        return markup.read_html(_payload(body), into)
    decoded = decode(_payload(body), body.get_content_charset())
    if decoded.doubt:
        into.doubt(decoded.doubt)
    into.add(decoded.text)


def _attached(message: EmailMessage, body: object, into: Collected) -> list[Attached]:
    """Everything but the body and what is another form of it."""
    parts: list[Attached] = []
    for number, part in enumerate(_leaves(message)):
        if part is body:
            continue
        if part.get_content_maintype() == "text" and part.get_filename() is None:
            if part.get_content_subtype() == "plain":
                _body(part, into)  # it goes on after a picture, for instance
            continue
        if len(parts) == limits.PARTS:
            into.doubt(f"only the first {limits.PARTS} attachments are read")
            break
        name = part.get_filename() or f"part-{number}"
        nested = part.get_content_type() == "message/rfc822"
        parts.append((name, part.get_content_type(), _nested(part) if nested else _payload(part)))
    return parts


def _leaves(message: EmailMessage) -> list[EmailMessage]:
    """All parts that have no parts, and whole messages, in order."""
    found: list[EmailMessage] = []
    todo = [message]
    while todo:
        part = todo.pop()
        if part.is_multipart() and part.get_content_type() != "message/rfc822":
            inner: list[EmailMessage] = part.get_payload()  # pyright: ignore[reportAssignmentType]
            todo.extend(reversed(inner))
        else:
            found.append(part)
    return found


def _nested(part: EmailMessage) -> bytes:
    inner: EmailMessage = part.get_payload(0)  # pyright: ignore[reportAssignmentType]
    return inner.as_bytes()


def _payload(part: EmailMessage) -> bytes:
    content = part.get_payload(decode=True)
    return content if isinstance(content, bytes) else b""
