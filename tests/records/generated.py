"""Messages as they come in, made up from a seed: of three domains, in four languages, some of them with documents.

One in a hundred is poison: nothing is in it but a document that is broken, a bomb, too large, or no text at all.
"""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Final, NamedTuple

from domain.message import Attachment, Message, Sender
from domain.schema import Field, Schema
from domain.source import Configuration, Limits
from records import schemas
from records.channels.form import Incoming
from tests.records.enrich import documents

OFFICE: Final = Configuration("http", "Office", limits=Limits(attachment=25 * 1024 * 1024))
NOON: Final = datetime(2026, 11, 20, 12, tzinfo=UTC)
WORD: Final = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
EXCEL: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

_LETTERS: Final = {
    ("medical", "en"): (
        "Report on the examination of your patient at our cardiology ward.",
        "Kind regards, the clinic",
    ),
    ("medical", "fr"): ("Compte rendu de la consultation de votre patient à l'hôpital.", "Cordialement, la clinique"),
    ("medical", "de"): ("Befundbericht über die Behandlung Ihres Patienten in der Klinik.", "Mit freundlichen Grüßen"),
    ("medical", "es"): ("Informe médico de la consulta de su paciente en el hospital.", "Un saludo, la clínica"),
    ("financial", "en"): ("Please find our invoice below and pay it as agreed upon.", "Yours sincerely, accounting"),
    ("financial", "fr"): ("Veuillez trouver notre facture ci-dessous, à payer comme convenu.", "Cordialement"),
    ("financial", "de"): ("Anbei erhalten Sie unsere Rechnung mit der Bitte um Zahlung.", "Mit freundlichen Grüßen"),
    ("financial", "es"): ("Le enviamos nuestra factura con el ruego de que la pague.", "Atentamente"),
    ("logistics", "en"): ("Please book the transport of this shipment by truck.", "Best regards, dispatch"),
    ("logistics", "fr"): ("Merci d'organiser le transport de cet envoi par camion.", "Cordialement, l'expédition"),
    ("logistics", "de"): ("Bitte organisieren Sie den Transport dieser Sendung per LKW.", "Viele Grüße, Versand"),
    ("logistics", "es"): ("Les rogamos que organicen el transporte de este envío en camión.", "Saludos"),
}
_NAMES: Final = ("Ada Meyer", "Marc Dubois", "Lucía Ortega", "John Hale", "Eva Brandt", "Noor Haddad")
_FIRMS: Final = ("Nordwind Logistik GmbH", "Harrow & Finch Ltd", "Dubois SARL", "Ortega SL", "Allianz AG", "Baker Inc")
_TEXTS: Final = {"place": "Lyon", "medication": "Metformin", "dose": "850 mg"}
_IDENTIFIERS: Final = {
    "iban": "DE89370400440532013000",
    "currency": "EUR",
    "diagnosis": "E11.9",
    "seller.vat_id": "DE123456789",
    "un_number": "UN 1203",
}
_DATES: Final = {"patient.born_on": -15_000, "pickup_on": 3, "delivery_on": 6, "due_on": 30}
"""Days from when it was sent."""


class Generated(NamedTuple):
    """`poison` is what its reason has to say; None where all is well. `domain` is none for poison."""

    incoming: Incoming
    domain: str | None
    poison: str | None = None


class _Poison(NamedTuple):
    name: str
    media_type: str
    content: Callable[[random.Random], bytes]
    says: str


def generated(count: int, seed: int, source: str, *, poison: int = 100, documents_of: int = 25) -> Iterator[Generated]:
    """One in so many is poison, one in so many others has a document; 0 for none."""
    rng = random.Random(seed)
    at = {number for number in range(count) if poison and number % poison == poison // 2}
    for number in range(count):
        drawn = random.Random(rng.getrandbits(64))
        if number in at:
            yield _poisoned(POISON[number // poison % len(POISON)], number, source, drawn)
        else:
            yield _sound(number, source, drawn, bool(documents_of) and number % documents_of == 1)


def incoming(message: Message, *contents: bytes) -> Incoming:
    return Incoming(message, message.text.encode(), "text/plain", dict(enumerate(contents)))


def message(number: int, source: str, text: str, *attachments: Attachment) -> Message:
    sender = Sender(f"sender-{number % 997}@example.org", _NAMES[number % len(_NAMES)])
    sent_at = NOON + timedelta(seconds=number)
    return Message("http", source, f"message-{number}", sender, sent_at, text=text, attachments=attachments)


def _sound(number: int, source: str, rng: random.Random, attached: bool) -> Generated:
    schema, language = rng.choice(_schemas()), rng.choice(("en", "fr", "de", "es"))
    begin, end = _LETTERS[schema.name, language]
    lines = [f"{label}: {value}" for label, value in _filled(schema, language, number, rng)]
    if not attached:
        return Generated(incoming(message(number, source, "\n".join([begin, "", *lines, "", end]))), schema.name)
    name, media_type, content = _document(rng.randrange(4), begin, lines)
    attachment = Attachment(name, media_type, len(content))
    return Generated(incoming(message(number, source, f"{begin}\n\n{end}", attachment), content), schema.name)


def _filled(schema: Schema, language: str, number: int, rng: random.Random) -> Iterator[tuple[str, str]]:
    """One field in ten is left out."""
    for field in schema.fields:
        if rng.random() > 0.1:
            yield field.labels[language][0], _value(field, number, rng)


def _value(field: Field, number: int, rng: random.Random) -> str:
    match field.type:
        case "text":
            names = _FIRMS if field.path in ("seller.name", "buyer.name", "shipper", "consignee", "insurer") else _NAMES
            return _TEXTS.get(field.path, rng.choice(names))
        case "identifier":
            return _IDENTIFIERS.get(field.path, f"R-{2026_000_000 + number}")
        case "date":
            return str(date(2026, 11, 20) + timedelta(_DATES.get(field.path, -1)))
        case "amount":
            return {"net": "100.00", "tax": "19.00"}.get(field.path, "119.00")
        case "number":
            return str(rng.randrange(10, 900))
        case "integer":
            return str(rng.randrange(1, 40))
        case "boolean":
            return rng.choice(("yes", "no"))
        case "choice":
            return rng.choice(field.choices)
        case "email":
            return "office@example.org"
        case "phone":
            return "+49 30 901820"


def _document(kind: int, begin: str, lines: list[str]) -> tuple[str, str, bytes]:
    match kind:
        case 0:
            return "letter.docx", WORD, documents.word(begin, *lines)
        case 1:
            latin = "\n".join([begin, *lines]).encode("latin-1", "replace").decode("latin-1")
            return "letter.pdf", "application/pdf", documents.pdf(latin)
        case 2:
            file = io.StringIO()
            csv.writer(file).writerows(line.split(": ", 1) for line in lines)
            return "fields.csv", "text/csv", file.getvalue().encode()
        case _:
            return "letter.txt", "text/plain; charset=utf-16", "\n".join([begin, *lines]).encode("utf-16")


@cache
def _schemas() -> tuple[Schema, ...]:
    return schemas.builtin()


def _poisoned(poison: _Poison, number: int, source: str, rng: random.Random) -> Generated:
    content = poison.content(rng)
    attachment = Attachment(f"{number}-{poison.name}", poison.media_type, len(content))
    return Generated(incoming(message(number, source, "", attachment), content), None, poison.says)


def _broken(content: bytes, rng: random.Random) -> bytes:
    """The beginning is there, so that it is told what it is."""
    return content[:64] + rng.randbytes(400)


def _surrogates(rng: random.Random) -> bytes:
    """Halves of pairs, as a program writes them that cut a text at the wrong places."""
    return b"".join(rng.randrange(0xD800, 0xDC00).to_bytes(2, "little") for _ in range(400))


@cache
def _bomb() -> bytes:
    return documents.bomb(megabytes=100)


@cache
def _lying_bomb() -> bytes:
    return documents.lying_bomb()


@cache
def _locked_zip() -> bytes:
    """Says of its entry that it is encrypted."""
    content = documents.archive({"letter.txt": b"secret"})
    return content.replace(b"PK\3\4\x14\0\0", b"PK\3\4\x14\0\1").replace(b"\x14\3\x14\0\0", b"\x14\3\x14\0\1")


@cache
def _pdf_bomb() -> bytes:
    return documents.pdf_with_stream(b"BT /F1 9 Tf (" + b"a" * 300 * 1024 * 1024 + b") Tj ET")


@cache
def _sheet_bomb() -> bytes:
    return documents.bomb(megabytes=100, name="xl/workbook.xml")


@cache
def endless_text() -> bytes:
    """100 MB."""
    return b"The gross weight is 100 kg, as was said before. " * (100 * 1024 * 1024 // 48)


POISON: Final = (
    _Poison("broken.pdf", "application/pdf", lambda rng: b"%PDF-1.7\n" + rng.randbytes(400), "PDF is broken"),
    _Poison("broken.docx", WORD, lambda rng: _broken(documents.word("x"), rng), "broken"),
    _Poison("broken.xlsx", EXCEL, lambda rng: _broken(documents.excel(), rng), "broken"),
    _Poison("bomb.docx", WORD, lambda _: _bomb(), "unpacks to"),
    _Poison("bomb.xlsx", EXCEL, lambda _: _sheet_bomb(), "unpacks to"),
    _Poison("lying.docx", WORD, lambda _: _lying_bomb(), "archive"),
    _Poison("bomb.pdf", "application/pdf", lambda _: _pdf_bomb(), "decompressing"),
    _Poison("endless.txt", "text/plain", lambda _: endless_text(), "larger than 26,214,400 bytes"),
    _Poison("surrogates.txt", "text/plain; charset=utf-8", _surrogates, "no text"),
    _Poison("marked.txt", "text/plain; charset=utf-8", lambda rng: b"\xff\xfe" + _surrogates(rng), "no text"),
    _Poison("noise.txt", "text/plain", lambda rng: rng.randbytes(2_000), "no text"),
    _Poison("high.csv", "text/csv", lambda rng: bytes(rng.randrange(128, 256) for _ in range(900)), "no text"),
    _Poison("locked.pdf", "application/pdf", lambda _: documents.encrypted_pdf(), "encrypted"),
    _Poison("locked.zip", "application/zip", lambda _: _locked_zip(), "encrypted"),
    _Poison("empty.pdf", "application/pdf", lambda _: b"", "empty"),
)


def brew() -> None:
    """All that takes memory to make: made once, and kept."""
    for poison in POISON:
        poison.content(random.Random(0))
