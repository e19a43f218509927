"""Documents as text and tables; what is wrong with one is said of it."""

import json

import pytest

from records.enrich import limits
from records.enrich.content import Part, Read
from records.enrich.reading import read
from tests.records.enrich import documents


def reading(content: bytes, name: str = "document", media_type: str = "application/octet-stream") -> Part:
    (part,) = read(Read(name, media_type, content))
    return part


def flagged(part: Part) -> list[tuple[str, str | None]]:
    return [(flag.kind, flag.path) for flag in part.flags]


TABLE = documents.ROWS


@pytest.mark.parametrize(
    ("content", "method", "text", "table"),
    [
        (documents.pdf(table=True), "read-pdf", documents.LETTER, TABLE),
        (documents.word(), "read-docx", documents.LETTER, TABLE),
        (documents.word(), "read-docx", "Pallets\t12\t340.00\nCrates", TABLE),
        (documents.excel(), "read-xlsx", "2026-03-04\t12\tTrue", (("Delivered", "Weight", "Paid"),)),
        (b"<html><body><p>Total:\n <b>12</b> EUR<p>Thanks", "read-html", "Total: 12 EUR\nThanks", None),
        (b"<!DOCTYPE html><table><tr><th>Item<td>Crates</table>", "read-html", "Item\tCrates", (("Item", "Crates"),)),
        (
            b"<?xml version='1.0'?><order id='7'><total>12.50</total></order>",
            "read-xml",
            "order id: 7\ntotal: 12.50",
            None,
        ),
        (b'{"total": 12.5, "client": {"name": "Anna"}}', "read-json", "total: 12.5\nclient.name: Anna", None),
        (b'[{"item": "Crates", "count": 3}]', "read-json", "item: Crates", (("item", "count"), ("Crates", "3"))),
        (documents.mail(), "read-eml", "Subject: Rechnung für März\nAs agreed upon.", None),
        (documents.mail(html=True), "read-eml", "As agreed upon.", None),
        (b"just words\r\nof text", "read-text", "just words\nof text", None),
    ],
)
def test_text_and_tables_are_read_whatever_it_is_called(content, method, text, table):
    part = reading(content)
    assert part.method == method
    assert text in part.text
    assert part.flags == ()
    assert [run.outcome for run in part.runs] == ["done"]
    if table is not None:
        assert part.tables[0][: len(table)] == table


def test_a_csv_is_told_by_its_name_or_its_type():
    content = b"item;price\nCrates;27,50\n"
    for part in (reading(content, "prices.csv"), reading(content, "prices", "text/csv; charset=utf-8")):
        assert part.tables == ((("item", "price"), ("Crates", "27,50")),)


def test_headers_and_footers_of_a_letter_are_read_too():
    assert reading(documents.word()).text.startswith("Nordwind GmbH\n")


def test_scripts_styles_and_comments_of_html_are_not_text():
    part = reading(b"<html><head><style>p{}</style></head><body><script>x()</script><!-- no --><p>yes</p> tail")
    assert part.text == "yes\ntail"


def test_html_that_forgets_to_close_its_blocks_is_read_or_doubtful():
    some, many = (reading(b"<html><body>" + b"<div>word " * count) for count in (1_000, 10_000))
    assert (some.text.count("word"), some.flags) == (1_000, ())
    assert flagged(many) == [("doubtful", "document")]


def test_documents_in_documents_are_read_with_where_they_were():
    inner = documents.archive({"letter.txt": b"one", "table.csv": b"a,b\n1,2\n"})
    parts = read(Read("mail.eml", "message/rfc822", documents.mail(("all.zip", "application/zip", inner))))
    assert [part.path for part in parts] == [
        "mail.eml",
        "mail.eml/all.zip",
        "mail.eml/all.zip/letter.txt",
        "mail.eml/all.zip/table.csv",
    ]
    assert parts[2].text == "one"
    assert parts[3].tables == ((("a", "b"), ("1", "2")),)


def test_a_mail_in_a_mail_is_read():
    parts = read(Read("mail.eml", "", documents.mail(("first.eml", "application/octet-stream", documents.mail()))))
    assert "Rechnung für März" in parts[1].text


def test_a_mail_that_goes_on_after_a_picture_is_read_to_its_end():
    content = documents.mail(("a.png", "image/png", documents.png((4, 4))))
    boundary = content.split(b'boundary="')[1].split(b'"')[0]
    more = b"--" + boundary + b"\nContent-Type: text/plain\n\nAnd one thing more.\n"
    content = content.replace(b"--" + boundary + b"--", more + b"--" + boundary + b"--")
    mail, picture = read(Read("mail.eml", "message/rfc822", content))
    assert mail.text.split("\n")[-3:] == ["As agreed upon.", "", "And one thing more."]
    assert (picture.path, picture.text, picture.flags) == ("mail.eml/a.png", "", ())


def test_archives_are_opened_two_levels_deep():
    content = b"deep"
    for _ in range(4):
        content = documents.archive({"inner.zip": content})
    parts = read(Read("outer.zip", "application/zip", content))
    assert [part.path for part in parts] == ["outer.zip", "outer.zip/inner.zip", "outer.zip/inner.zip/inner.zip"]
    assert flagged(parts[-1]) == [("unreadable", parts[-1].path)]


@pytest.mark.parametrize(
    ("content", "name", "media_type"),
    [
        (documents.pdf(), "letter.docx", ""),
        (b"no picture at all", "picture.png", "image/png"),
        (documents.png(), "scan.pdf", "application/pdf"),
        (documents.archive({"a.txt": b"x"}), "a.docx", ""),
    ],
)
def test_what_is_not_what_it_was_sent_as_is_doubtful(content, name, media_type):
    parts = read(Read(name, media_type, content))
    assert ("doubtful", name) in flagged(parts[0])
    assert "sent as" in parts[0].flags[0].detail


@pytest.mark.parametrize(
    ("content", "name", "media_type"),
    [
        (documents.word(), "packed.zip", "application/zip"),
        (b"a,b", "notes.txt", "text/csv"),
        (documents.pdf(), "letter.pdf", "application/x-made-up"),
        (documents.png(), "photo", "image/jpeg"),
    ],
)
def test_what_is_nearly_what_it_was_sent_as_is_not(content, name, media_type):
    assert [kind for kind, _ in flagged(read(Read(name, media_type, content))[0]) if kind == "doubtful"] == []


BROKEN = {
    "an empty file": b"",
    "half a PDF": documents.pdf()[:600],
    "a PDF without pages": b"%PDF-1.4\n%%EOF",
    "a PDF that needs a password": documents.encrypted_pdf(),
    "a PDF that unpacks to gigabytes": documents.pdf_with_stream(b"q Q " * 30_000_000),
    "half a Word document": documents.word()[:3000],
    "a Word document without a body": documents.archive({"word/document.xml": b"<nothing/>"}),
    "a workbook that is no XML": documents.archive({"xl/workbook.xml": b"nothing", "[Content_Types].xml": b"<"}),
    "a document that unpacks to too much": documents.bomb(),
    "a document of many large entries": documents.bomb(members=9, megabytes=9),
    "a document that is packed a thousandfold": documents.bomb(megabytes=20),
    "a document that says it is small": documents.lying_bomb(),
    "an archive of thousands of files": documents.archive({str(each): b"" for each in range(2_001)}),
    "XML with a billion laughs": documents.LAUGHS,
    "XML with a file from outside": documents.OUTSIDE,
    "a picture of a hundred million pixels": documents.huge_png(10_000, 10_000),
    "half a picture": documents.png()[:60],
    "noise": bytes(range(256)) * 20,
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_cannot_be_read_is_flagged_with_the_reason(what):
    part = reading(BROKEN[what], "poison")
    assert flagged(part) == [("unreadable", "poison")]
    assert part.flags[0].detail
    assert part.text == ""
    assert [(run.outcome, bool(run.reason)) for run in part.runs] == [("failed", True)]


def test_nothing_of_a_file_outside_gets_into_the_text():
    for content in (documents.OUTSIDE, documents.OUTSIDE.replace(b'<?xml version="1.0"?>', b" ")):
        assert "root" not in reading(content, "a.xml", "text/xml").text


def test_what_nothing_here_reads_is_unavailable_not_failed():
    part = reading(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "old.doc", "application/msword")
    assert flagged(part) == [("unavailable", "old.doc")]
    assert [run.outcome for run in part.runs] == ["unavailable"]


def test_one_broken_page_leaves_the_others():
    content = documents.pdf("first page", "second page", "third page").replace(b"/Type /Page\n", b"/Type /Pagf\n", 1)
    assert "second page" in reading(content).text


def test_of_a_long_text_the_beginning_is_read():
    part = reading(b"words and " * 1_000_000, "long.txt", "text/plain")
    assert len(part.text) == limits.LONGEST_TEXT
    assert flagged(part) == [("doubtful", "long.txt")]


def test_of_many_pages_and_rows_the_first_are_read():
    pages = reading(documents.pdf(*(f"page {number}" for number in range(1, 103))), "pages.pdf")
    assert "page 100" in pages.text
    assert "page 101" not in pages.text
    assert "only the first 100 of 102 pages" in pages.flags[0].detail
    rows = reading(documents.excel(rows=300), "rows.xlsx")
    assert len(rows.tables[0]) == limits.TABLE_ROWS
    assert rows.text.count("2026-03-04") == 300
    assert flagged(rows) == [("doubtful", "rows.xlsx")]


TEXT = "Grüße aus Köln: die Rechnung über 12 € wäre schön übersichtlich."


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_what_says_its_encoding_is_read_without_doubt(encoding):
    part = reading(TEXT.encode(encoding), "note.txt", "text/plain")
    assert (part.text, part.flags) == (TEXT, ())


def test_a_declared_encoding_is_believed_where_it_fits():
    text = "Цена: двенадцать рублей"
    part = reading(text.encode("koi8-r"), "note.txt", "text/plain; charset=koi8-r")
    assert (part.text, part.flags) == (text, ())


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16-le", "utf-16-be"])
def test_a_guessed_encoding_is_doubtful(encoding):
    part = reading(TEXT.encode(encoding), "note.txt", "text/plain; charset=utf-8")
    assert part.text == TEXT
    assert flagged(part) == [("doubtful", "note.txt")]


def test_nul_characters_are_taken_out_and_told():
    part = reading(b"Hello\0 there, good people", "note.txt", "text/plain")
    assert part.text == "Hello there, good people"
    assert "NUL" in part.flags[0].detail


@pytest.mark.parametrize("content", [b"[" * 100_000 + b"]" * 100_000, b'{"a": ', b"1" * 10_000 + b"x"])
def test_json_that_is_none_stays_text(content):
    part = reading(content, "a.json", "application/json")
    assert part.text == content.decode()
    assert flagged(part) == [("doubtful", "a.json")]


def test_many_columns_and_tables_are_cut():
    wide = json.dumps([{f"c{number}": number for number in range(80)}]).encode()
    assert len(reading(wide).tables[0][0]) == limits.TABLE_COLUMNS
    many = b"<html>" + b"<table><tr><td>x</table>" * 30
    assert len(reading(many).tables) == limits.TABLES
