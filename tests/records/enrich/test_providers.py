"""What somebody else provides: OCR, translation, transcription. There, not there, and failing.

The programs are scripts that check how they are called, in the place of tesseract and apertium.
"""

import asyncio
import json

import httpx
import pytest

from records.enrich.apertium import Apertium, modes, route
from records.enrich.content import Contents, Read
from records.enrich.limits import Limits
from records.enrich.ports import SkillFailed, SkillUnavailable
from records.enrich.processes import ReadingProcesses
from records.enrich.transcribers import CommandTranscriber, HttpTranscriber
from tests.records.enrich import documents

TESSERACT = """#!/bin/sh
case "$*" in
  --version) echo "tesseract 5.3.0"; echo " leptonica-1.82.0";;
  --list-langs) echo "List of available languages in /usr/share (3):"; printf 'eng\\nfra\\nosd\\n';;
  "- - -l eng+fra") head -c 2 | grep -q P5 && cat > /dev/null && printf 'INVOICE 42\\f';;
  *) echo "called with $*" >&2; exit 1;;
esac
"""

APERTIUM = """#!/bin/sh
case "$*" in
  -V) echo "apertium 3.8.3";;
  -l) echo x >> "$(dirname "$0")/asked"; printf '  eng-spa\\n  fr-es\\n  spa-eng\\n  en-es_LATAM\\n';;
  fr-es) sed 's/facture/factura/; s/Lyon/*Lyon/';;
  spa-eng) sed 's/factura/invoice/';;
  eng-spa) echo "no dictionary" >&2; exit 3;;
  *) exit 9;;
esac
"""


async def read_picture(content: bytes, name: str) -> Contents:
    reading = ReadingProcesses(1, Limits())
    try:
        answer = await reading.answer(Read(name, "", content))
        assert isinstance(answer, Contents)
        return answer
    finally:
        await reading.close()


@pytest.fixture
def no_programs(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))


@pytest.mark.parametrize(("content", "name"), [(documents.png(), "scan.png"), (documents.scanned_pdf(), "scan.pdf")])
async def test_pictures_are_read_by_tesseract_in_the_languages_that_it_has(program, content, name):
    program("tesseract", TESSERACT)
    (part,) = (await read_picture(content, name)).parts
    assert part.text.strip() == "INVOICE 42"
    assert [run.outcome for run in part.runs] == ["done"]
    assert [(flag.kind, flag.path) for flag in part.flags] == [("doubtful", name)]
    assert name == "scan.pdf" or part.runs[0].version == "5.3.0"


@pytest.mark.parametrize(("content", "name"), [(documents.png(), "scan.png"), (documents.scanned_pdf(), "scan.pdf")])
async def test_without_tesseract_a_picture_is_flagged_unavailable(no_programs, content, name):
    (part,) = (await read_picture(content, name)).parts
    assert [(flag.kind, flag.path) for flag in part.flags] == [("unavailable", name)]
    assert [run.outcome for run in part.runs] == ["unavailable"]


async def test_when_tesseract_fails_the_picture_is_unreadable(program):
    program("tesseract", TESSERACT.replace("- - -l eng+fra", "something else"))
    (part,) = (await read_picture(documents.png(), "scan.png")).parts
    assert [(flag.kind, flag.path) for flag in part.flags] == [("unreadable", "scan.png")]
    assert "called with - - -l eng+fra" in part.flags[0].detail


def test_modes_of_apertium_are_pairs_of_languages_of_two_letters():
    listed = "  eng-spa\n  fr-es\n  en-es_LATAM\n  oci@aran-cat\n  xyz-spa\n"
    assert modes(listed) == {("en", "es"): "eng-spa", ("fr", "es"): "fr-es"}


def test_a_way_leads_over_one_other_language_at_most():
    installed = {("fr", "es"): "fr-es", ("es", "en"): "spa-eng", ("en", "eo"): "en-eo"}
    assert route(installed, "fr", "es") == ("fr-es",)
    assert route(installed, "fr", "en") == ("fr-es", "spa-eng")
    assert route(installed, "fr", "eo") is None
    assert route(installed, "en", "fr") is None


async def test_apertium_translates_by_way_of_a_third_language_and_says_what_it_did_not_know(program):
    path = program("apertium", APERTIUM)
    apertium = Apertium()
    assert await apertium.version() == "3.8.3"
    for _ in range(2):
        assert await apertium.translate("la facture de Lyon", "fr", "en") == ("la invoice de Lyon", 0.75)
    assert (path.parent / "asked").read_text() == "x\n", "which pairs there are is asked once"


async def test_apertium_says_which_way_it_does_not_know_and_when_it_failed(program):
    program("apertium", APERTIUM)
    with pytest.raises(SkillUnavailable, match="from de to fr"):
        await Apertium().translate("Rechnung", "de", "fr")
    with pytest.raises(SkillFailed, match="no dictionary"):
        await Apertium().translate("invoice", "en", "es")


async def test_without_apertium_it_is_unavailable(no_programs):
    assert await Apertium().version() == ""
    with pytest.raises(SkillUnavailable):
        await Apertium().translate("facture", "fr", "en")


async def test_a_command_transcribes_without_seeing_secrets(program, monkeypatch):
    monkeypatch.setenv("OPENAI_TOKEN", "s3cret")
    program("listen", '#!/bin/sh\necho "$1 $2 $(cat) ${OPENAI_TOKEN:-nothing}"\n')
    listen = CommandTranscriber(("listen", "--language={language}", "{type}"))
    assert await listen.version() == "command"
    assert await listen.transcribe(b"recording", "audio/ogg", "fr") == "--language=fr audio/ogg recording nothing"


async def test_a_command_that_hangs_is_ended(program):
    program("listen", "#!/bin/sh\nsleep 100\n")
    with pytest.raises(SkillFailed, match="not done after"):
        await CommandTranscriber(("listen",), seconds=0.3).transcribe(b"", "audio/ogg", "fr")


async def test_a_command_that_is_not_there_is_unavailable():
    listen = CommandTranscriber(("no-such-program",))
    assert await listen.version() == ""
    with pytest.raises(SkillUnavailable):
        await listen.transcribe(b"", "audio/ogg", "fr")


async def serving(answer: bytes, heard: list[bytes]) -> tuple[asyncio.Server, str]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        heard.append(head + await reader.readexactly(length))
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"


def response(status: str, body: object) -> bytes:
    content = json.dumps(body).encode()
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % (status.encode(), len(content)) + content


async def test_a_service_transcribes_in_the_protocol_of_openai():
    heard: list[bytes] = []
    server, url = await serving(response("200 OK", {"text": " hello there "}), heard)
    async with server, httpx.AsyncClient() as client:
        service = HttpTranscriber(client, url, "whisper-1", token="t0ken")
        assert await service.transcribe(b"RECORDING", "audio/ogg", "fr") == "hello there"
    assert heard[0].startswith(b"POST /v1/audio/transcriptions ")
    for part in (
        b"Bearer t0ken",
        b"whisper-1",
        b"RECORDING",
        b'filename="recording.ogg"',
        b'name="language"\r\n\r\nfr',
    ):
        assert part in heard[0]


@pytest.mark.parametrize("answer", [response("500 Oh", {"error": "no"}), response("200 OK", ["no text"])])
async def test_a_service_that_fails_has_failed(answer):
    server, url = await serving(answer, [])
    async with server, httpx.AsyncClient() as client:
        with pytest.raises(SkillFailed):
            await HttpTranscriber(client, url, "whisper-1").transcribe(b"", "audio/ogg", "fr")


async def test_a_service_that_is_not_there_is_unavailable():
    server, url = await serving(b"", [])
    server.close()
    await server.wait_closed()
    async with httpx.AsyncClient() as client:
        with pytest.raises(SkillUnavailable):
            await HttpTranscriber(client, url, "whisper-1").transcribe(b"", "audio/ogg", "fr")
