"""Whatever bytes come, sent as whatever: something is said of them, and nothing breaks."""

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.flag import Flag
from records.enrich.content import Contents, Part, Read
from records.enrich.limits import Limits
from records.enrich.processes import ReadingProcesses
from tests.records.enrich import documents

TYPES = (
    *("application/pdf", "text/plain", "text/plain; charset=utf-7", "text/csv", "text/html", "text/xml", "image/png"),
    *(
        "application/json",
        "message/rfc822",
        "application/zip",
        "audio/ogg",
        "application/msword",
        "",
        "nonsense",
        "a/b/c",
    ),
    *("application/vnd.openxmlformats-officedocument.wordprocessingml.document", "text/plain; charset=hex", "\r\n: ;"),
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
)
NAMES = ("a.pdf", "a.docx", "a.xlsx", "a.eml", "a.csv", "a.json", "a.html", "", "../../etc/passwd", "a.png", "a\0b")
GENUINE = (
    documents.pdf(table=True),
    documents.word(),
    documents.excel(),
    documents.png(),
    documents.mail(("a.docx", "application/zip", documents.word())),
    documents.archive({"a.txt": b"x", "b/c.csv": b"1,2"}),
    b"<html><body><table><tr><td>x</table>",
    b"<?xml version='1.0'?><a b='c'>d</a>",
    b'[{"a": 1}]',
)
BEGINNINGS = (
    b"%PDF-1.7\n",
    b"PK\x03\x04",
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",
    b"<?xml",
    b"<html>",
    b"From: a\nTo: b\nDate: c\n\n",
)


class Reader:
    """One pool of processes on a loop of its own: hypothesis calls no coroutines."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._processes = ReadingProcesses(1, Limits())

    def read(self, task: Read) -> tuple[Part, ...]:
        answer = self._loop.run_until_complete(self._processes.answer(task))
        assert isinstance(answer, Contents)
        return answer.parts

    def close(self) -> None:
        self._loop.run_until_complete(self._processes.close())
        self._loop.close()


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    reader = Reader()
    try:
        yield reader
    finally:
        reader.close()


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A genuine document with some bytes changed, taken out or put in."""
    content = bytearray(draw(st.sampled_from(GENUINE)))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(content)))
        content[place : place + draw(st.integers(0, 40))] = draw(st.binary(max_size=40))
    return bytes(content)


ANY = st.one_of(
    st.binary(max_size=400),
    damaged(),
    st.tuples(st.sampled_from(BEGINNINGS), st.binary(max_size=300)).map(b"".join),
    st.text(max_size=200).map(lambda text: text.encode("utf-16", "surrogatepass")),
)
QUIETLY = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


@QUIETLY
@given(content=ANY, name=st.sampled_from(NAMES), media_type=st.sampled_from(TYPES), whole=st.booleans())
def test_any_bytes_are_read_or_flagged(reader: Reader, content: bytes, name: str, media_type: str, whole: bool) -> None:
    """By the document, not by the process: none of them is lost."""
    parts = reader.read(Read(name, media_type, content, whole))
    assert parts[0].path == name
    for part in parts:
        assert all(isinstance(flag, Flag) for flag in part.flags)
        assert "\0" not in part.text
        part.text.encode()
        if part.media is None:
            assert len(part.runs) == 1
            told = {flag.kind for flag in part.flags}
            assert part.runs[0].outcome == "done" or told & {"unreadable", "unavailable"}
