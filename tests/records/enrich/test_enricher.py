"""A message with what is in it: real documents, a real store, processes of their own."""

import asyncio
import hashlib
import json
import os
import sys
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import msgspec
import pytest

from domain.message import Attachment, Message, Sender
from domain.record import Enrichment
from eventstore.blobs import Blobs, create_blobs
from eventstore.errors import LogUnavailable
from records.enrich.apertium import Apertium
from records.enrich.enricher import Enricher
from records.enrich.limits import MEGABYTE
from records.enrich.transcribers import CommandTranscriber
from tests.eventstore.servers import Servers
from tests.eventstore.test_blobs import connected
from tests.records.enrich import documents
from tests.records.enrich.test_language import TEXTS
from tests.records.enrich.test_processes import children
from tests.records.enrich.test_providers import APERTIUM

PLAIN = (
    "Dear team, please find the invoice INV-2026-0042 of 3 March 2026 over 1,234.56 EUR for Nordwind Logistik GmbH. "
    "It is to be paid until 2026-04-02 to IBAN DE89 3704 0044 0532 0130 00. Questions: anna@nordwind.example or "
    "+49 30 901820, see also https://nordwind.example/help. Client: Anna Schmidt. The order no. 77-123 was delivered "
    "on 1 March 2026 and has cost $12.50 more than was agreed upon when you have called us, as we have written to you. "
    "Best regards, Anna"
)


def message(text: str = "", *attachments: Attachment, **changed) -> Message:
    given = Message("email", "office", "m-1", Sender("anna"), datetime(2026, 3, 3, tzinfo=UTC), text=text)
    return msgspec.structs.replace(given, attachments=attachments, **changed)


async def stored(blobs, content: bytes, name: str, media_type: str = "application/octet-stream") -> Attachment:
    return Attachment(name, media_type, len(content), await blobs.put(content))


@asynccontextmanager
async def enriching(blobs, fetch=None, **options):
    enricher = Enricher(blobs, fetch, **options)
    try:
        yield enricher
    finally:
        await enricher.close()


def timeless(enrichment: Enrichment) -> Enrichment:
    runs = tuple(msgspec.structs.replace(run, milliseconds=0.0) for run in enrichment.runs)
    return msgspec.structs.replace(enrichment, runs=runs)


def flagged(enrichment: Enrichment) -> list[tuple[str, str | None]]:
    return [(flag.kind, flag.path) for flag in enrichment.flags]


async def test_a_plain_message_has_its_text_language_and_entities_and_needs_no_process(blobs):
    async with enriching(blobs) as enricher:
        found = await enricher.enrich(message(PLAIN), "fr")
        assert children() == []
    assert [(said.origin, said.text, said.content) for said in found.texts] == [("message", PLAIN, None)]
    assert found.language == "en"
    assert found.language_confidence > 0.9
    kinds = {each.kind: each.value for each in reversed(found.entities)}
    assert kinds["amount"] == "1234.56 EUR"
    assert kinds["date"] == "2026-03-03"
    assert kinds["party"] == "Nordwind Logistik GmbH"
    assert [run.skill for run in found.runs] == ["entities", "language", "translate"]


async def test_the_same_message_gives_the_same_apart_from_milliseconds(blobs):
    attachments = [
        await stored(blobs, documents.pdf(table=True), "a.pdf"),
        await stored(blobs, documents.mail(("b.docx", "application/octet-stream", documents.word())), "m.eml"),
        await stored(blobs, documents.bomb(), "bomb.docx"),
    ]
    given = message(PLAIN, *attachments)
    async with enriching(blobs) as first, enriching(blobs, processes=1) as second:
        found = [timeless(await each.enrich(given, "en")) for each in (first, second, first)]
    assert found[0] == found[1] == found[2]
    assert [said.origin for said in found[0].texts] == ["message", "a.pdf", "m.eml", "m.eml/b.docx"]
    assert {each.origin for each in found[0].entities} == {"message", "a.pdf", "m.eml", "m.eml/b.docx"}
    assert len(found[0].tables) == 2


async def test_what_is_poison_is_flagged_and_the_rest_is_read(blobs):
    poison = {
        "bomb.docx": documents.bomb(),
        "laughs.xml": documents.LAUGHS,
        "half.pdf": documents.pdf()[:500],
        "noise": bytes(range(256)) * 9,
        "empty.txt": b"",
    }
    attachments = [await stored(blobs, content, name) for name, content in poison.items()]
    attachments.insert(2, await stored(blobs, documents.word(), "good.docx"))
    async with enriching(blobs) as enricher:
        found = await enricher.enrich(message("Here you are", *attachments))
    assert flagged(found) == [("unreadable", name) for name in poison]
    assert [said.origin for said in found.texts] == ["message", "good.docx"]
    assert sorted(run.part for run in found.runs if run.outcome == "failed") == sorted(poison)


async def test_of_a_hundred_megabytes_of_text_the_beginning_is_kept_in_the_store(blobs):
    content = b"twelve words of which none says anything that anybody would remember " * 1_500_000
    given = message("", await stored(blobs, content, "long.txt", "text/plain"))
    async with enriching(blobs) as enricher:
        found = await enricher.enrich(given)
    (said,) = found.texts
    assert said.characters == 2_000_000
    assert said.text == content[:1_000].decode()
    assert await blobs.get(said.content) == content[:2_000_000]
    assert set(flagged(found)) == {("doubtful", "long.txt")}
    assert found.language == "en"


async def test_a_text_that_is_longer_than_20_000_characters_is_in_the_store(blobs):
    text = "Żółw " * 5_000
    async with enriching(blobs) as enricher:
        (said,) = (await enricher.enrich(message(text))).texts
    assert (said.origin, said.text, said.characters) == ("message", text[:1_000], 25_000)
    assert said.content == hashlib.sha256(text.encode()).hexdigest()
    assert (await blobs.get(said.content)).decode() == text


async def test_what_a_message_says_fits_into_an_event_whatever_is_attached(blobs):
    text = " ".join(f"{number} EUR" for number in range(5_000, 5_300)).encode() + "é".encode() * 7_000
    table = "\n".join(",".join("x" * 40 for _ in range(20)) for _ in range(20)).encode()
    attachments = [await stored(blobs, text, f"{number}.txt") for number in range(20)]
    attachments += [await stored(blobs, table, f"{number}.csv") for number in range(20)]
    async with enriching(blobs) as enricher:
        found = await enricher.enrich(message("", *attachments))
    assert len(found.texts) == len(found.attachments) == 40
    assert len(json.dumps(msgspec.to_builtins(found))) < 900_000
    assert found.tables
    assert "there are more tables and entities than a record keeps" in [flag.detail for flag in found.flags]
    assert len({said.content for said in found.texts if said.content}) == 2


async def test_what_is_only_known_by_the_platform_is_fetched_and_stored(blobs):
    content = documents.word()
    asked = []

    async def fetch(given: Message, attachment: Attachment) -> bytes:
        asked.append((given.source, attachment.remote))
        return content

    async with enriching(blobs, fetch) as enricher:
        found = await enricher.enrich(message("", Attachment("a.docx", remote="media-1")))
    assert asked == [("office", "media-1")]
    (attachment,) = found.attachments
    assert (attachment.content, attachment.size) == (hashlib.sha256(content).hexdigest(), len(content))
    assert await blobs.get(attachment.content) == content
    assert [(run.skill, run.outcome) for run in found.runs][:2] == [("fetch", "done"), ("read-docx", "done")]


async def test_what_cannot_be_fetched_is_flagged_and_the_message_goes_on(blobs):
    async def fetch(given: Message, attachment: Attachment) -> bytes:
        raise RuntimeError("the platform answered 404")

    remote = Attachment("a.pdf", remote="media-1")
    async with enriching(blobs, fetch) as enricher, enriching(blobs) as nobody:
        failed = await enricher.enrich(message(PLAIN, remote))
        unavailable = await nobody.enrich(message(PLAIN, remote))
    assert flagged(failed) == [("unreadable", "a.pdf")]
    assert ("fetch", "failed") in [(run.skill, run.outcome) for run in failed.runs]
    assert "404" in failed.flags[0].detail
    assert flagged(unavailable) == [("unavailable", "a.pdf")]
    assert failed.attachments == unavailable.attachments == (remote,)
    assert failed.texts[0].text == PLAIN


@pytest.mark.parametrize(
    "attachment",
    [
        Attachment("a.pdf", content="0" * 64),
        Attachment("a.pdf", refused="too large"),
        Attachment("a.pdf"),
    ],
)
async def test_what_is_not_there_is_unreadable(blobs, attachment):
    async with enriching(blobs) as enricher:
        assert flagged(await enricher.enrich(message("Here", attachment))) == [("unreadable", "a.pdf")]


async def test_attachments_of_one_name_are_told_apart(blobs):
    attachments = [await stored(blobs, b"%d words" % number, "a.txt", "text/plain") for number in range(3)]
    attachments.append(await stored(blobs, b"another", "message", "text/plain"))
    async with enriching(blobs) as enricher:
        found = await enricher.enrich(message("own", *attachments))
    assert [(said.origin, said.text) for said in found.texts] == [
        ("message", "own"),
        ("a.txt", "0 words"),
        ("a (2).txt", "1 words"),
        ("a (3).txt", "2 words"),
        ("message (2)", "another"),
    ]


async def test_the_language_is_that_of_the_message_or_of_what_is_attached_or_of_the_source(blobs):
    german = await stored(blobs, TEXTS["de"].encode(), "a.txt", "text/plain")
    async with enriching(blobs) as enricher:
        languages = [
            (await enricher.enrich(given, "es")).language
            for given in (message(TEXTS["fr"], german), message("ok", german), message("ok"), message(""))
        ]
    assert languages == ["fr", "de", "es", None]


async def test_days_that_may_be_months_are_doubtful(blobs):
    async with enriching(blobs) as enricher:
        found = await enricher.enrich(message("Delivered on 03/04/2026 as you have asked us to do"), "en")
    assert flagged(found) == [("doubtful", None)]


async def test_a_message_in_another_language_is_translated_where_somebody_does(blobs, program):
    program("apertium", APERTIUM)
    async with enriching(blobs, translator=Apertium()) as enricher:
        found = await enricher.enrich(message(TEXTS["fr"]), "en")
        same = await enricher.enrich(message(TEXTS["en"]), "en")
        unknown = await enricher.enrich(message(TEXTS["de"]), "en")
    assert found.translation is not None
    assert found.translation.text.strip() == TEXTS["fr"].replace("facture", "invoice")
    assert (found.translation.method, found.flags) == ("apertium", ())
    assert (same.translation, same.flags) == (None, ())
    assert flagged(unknown) == [("unavailable", None)]
    assert unknown.runs[-1].outcome == "unavailable"


async def test_a_recording_is_transcribed_where_somebody_does_and_flagged_where_nobody_does(blobs, program):
    program("listen", "#!/bin/sh\ncat > /dev/null\necho I owe you 12 EUR\n")
    recording = await stored(blobs, b"OggS\0\2" + bytes(200), "voice.ogg", "audio/ogg")
    async with enriching(blobs, transcriber=CommandTranscriber(("listen",))) as there, enriching(blobs) as nobody:
        found = await there.enrich(message("", recording))
        missing = await nobody.enrich(message("", recording))
    assert [(said.origin, said.text, said.method) for said in found.texts] == [
        ("voice.ogg", "I owe you 12 EUR", "listen")
    ]
    assert [each.value for each in found.entities] == ["12 EUR"]
    assert flagged(missing) == [("unavailable", "voice.ogg")]
    assert [run.outcome for run in missing.runs] == ["unavailable"]


async def test_while_the_store_is_away_the_message_waits(own_nats: Servers):
    await own_nats.ready()
    async with connected(own_nats.url) as connection:
        await create_blobs(connection)
        blobs = Blobs(connection)
        attachment = await stored(blobs, b"x", "a.txt", "text/plain")
        own_nats.nodes[0].kill()
        async with enriching(blobs) as enricher:
            with pytest.raises(LogUnavailable):
                await enricher.enrich(message("Here", attachment))


async def test_many_messages_at_once_are_each_enriched_and_memory_stays_bounded(blobs):
    """30 messages, each with a document of its own; every tenth is poison."""
    given, bomb = list[Message](), documents.bomb(megabytes=65)
    for number in range(30):
        content = bomb if number % 10 == 0 else documents.word(f"Letter {number} says so")
        given.append(message(f"message {number}", await stored(blobs, content, "a.docx")))
    async with enriching(blobs) as enricher:
        found = await asyncio.gather(*(enricher.enrich(each) for each in given))
        assert len(children()) == 2
        most = max(each.memory_info().rss for each in children())
    for number, each in enumerate(found):
        expected = [("unreadable", "a.docx")] if number % 10 == 0 else []
        assert flagged(each) == expected
        assert number % 10 == 0 or f"Letter {number} says so" in each.texts[1].text
    assert most < 300 * MEGABYTE


async def test_no_more_than_so_many_bytes_are_fetched_at_a_time(blobs):
    """A large one is not overtaken for ever, and what nobody knows the size of is taken for large."""
    now = most = 0

    async def fetch(given: Message, attachment: Attachment) -> bytes:
        nonlocal now, most
        now += attachment.size or 0
        most = max(most, now)
        await asyncio.sleep(0.01)
        now -= attachment.size or 0
        return bytes(attachment.size or 0)

    sizes = [100_000, 300_000, 900_000] * 4
    given = [message("", Attachment("a.bin", remote=str(size), size=size)) for size in sizes]
    async with enriching(blobs, fetch, in_flight=1_000_000) as enricher:
        found = await asyncio.gather(*(enricher.enrich(each) for each in given))
    assert 900_000 <= most <= 1_000_000
    assert [each.attachments[0].size for each in found] == sizes


async def test_a_plain_message_takes_milliseconds(blobs):
    """Measured: under 1 ms of the processor for 500 characters (docs/enrichment.md); the bound is for busy machines."""
    given = [message(PLAIN.replace("0042", f"{number:04}"), external_id=f"m-{number}") for number in range(100)]
    async with enriching(blobs) as enricher:
        await enricher.enrich(given[0])
        begun = time.process_time()
        for each in given:
            await enricher.enrich(each)
        assert (time.process_time() - begun) / len(given) < 0.005


HEAVY = ("pypdf", "pdfplumber", "docx", "openpyxl", "lxml", "PIL", "puremagic", "charset_normalizer", "py3langid")


async def test_importing_it_imports_no_heavy_library():
    heavy = {*HEAVY, "phonenumbers", "price_parser"}
    code = f"import sys, records.enrich.enricher; sys.exit(','.join({heavy!r} & set(sys.modules)))"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", code), cwd=os.getcwd(), stderr=asyncio.subprocess.PIPE
    )
    assert (await process.communicate())[1].strip() == b""
