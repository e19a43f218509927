"""Processes that read documents: one may be lost to a document at any moment, and the others go on."""

import asyncio
import os
import signal
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from records.enrich.content import Contents, Entities, Find, NotReadable, Read
from records.enrich.limits import MEGABYTE, Limits
from records.enrich.processes import ReadingProcesses
from tests.processes import are_over
from tests.records.enrich import documents

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="limits and looks at /proc")

BUSY = documents.pdf_with_stream(b"BT /F1 9 Tf " + b"1 0 0 1 10 10 Tm (word) Tj " * 1_000_000 + b"ET")
"""Takes many seconds to be read."""

SLEEPS = """#!/bin/sh
case "$1" in --*) echo tesseract 5.3.0; exit;; esac
echo $$ > "$(dirname "$0")/pid"
exec sleep 300
"""


@asynccontextmanager
async def processes(count=1, **limits):
    found = ReadingProcesses(count, Limits(**limits))
    try:
        yield found
    finally:
        await found.close()
        assert children() == []


def children() -> list[psutil.Process]:
    """Of this process alone: what else it started may have some of its own."""
    return [each for each in psutil.Process().children() if _reads(each)]


def _reads(process: psutil.Process) -> bool:
    try:
        return "records.enrich.reading_process" in " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return False


async def text_of(reading: ReadingProcesses, content: bytes, name: str = "document") -> str:
    answer = await reading.answer(Read(name, "", content))
    assert isinstance(answer, Contents)
    return answer.parts[0].text


async def test_documents_and_texts_are_answered_one_after_the_other_by_the_same_process():
    async with processes() as reading:
        assert await text_of(reading, documents.word()) != ""
        (first,) = children()
        answer = await reading.answer(Find("12 EUR", "en", "a.txt"))
        assert isinstance(answer, Entities)
        assert answer.found[0].value == "12 EUR"
        assert children() == [first]


async def test_no_more_processes_than_asked_for_whoever_calls():
    async with processes(count=2) as reading:
        texts = await asyncio.gather(*(text_of(reading, b"word %d" % number) for number in range(30)))
        assert texts == [f"word {number}" for number in range(30)]
        assert len(children()) == 2


async def test_what_takes_too_much_of_the_processor_is_ended_and_others_go_on():
    async with processes(count=2, cpu_seconds=2) as reading:
        busy = asyncio.create_task(text_of(reading, BUSY))
        assert await text_of(reading, b"others go on") == "others go on"
        with pytest.raises(NotReadable, match="time of the processor"):
            await busy
        assert await text_of(reading, documents.word()) != ""


@on_linux
async def test_what_takes_too_much_memory_is_ended_and_others_go_on():
    async with processes(memory=120 * MEGABYTE) as reading:
        with pytest.raises(NotReadable, match="more memory"):
            await text_of(reading, b"[" + b"[]," * 2_500_000, "small.json")
        assert await text_of(reading, b"others go on") == "others go on"


async def test_what_hangs_is_ended_with_all_it_started(program, tmp_path):
    program("tesseract", SLEEPS)
    async with processes(wall_seconds=3) as reading:
        await text_of(reading, b"warm")
        with pytest.raises(NotReadable, match="not read after 3 s"):
            await text_of(reading, documents.png())
        await are_over(int((tmp_path / "pid").read_text()))
        assert await text_of(reading, b"others go on") == "others go on"


async def test_a_process_that_somebody_else_ended_is_replaced_and_the_document_read():
    async with processes() as reading:
        await text_of(reading, b"warm")
        for child in children():
            child.kill()
        assert await text_of(reading, documents.word()) != ""


async def test_a_document_is_tried_twice_when_its_process_is_killed_under_it():
    """As the kernel does when memory runs out; the second time it is the document's fault."""
    async with processes() as reading:
        busy = asyncio.create_task(text_of(reading, BUSY))
        first = await _busy_one()
        first.kill()
        second = await _busy_one(but=first.pid)
        second.kill()
        with pytest.raises(NotReadable, match="SIGKILL"):
            await busy


async def _busy_one(but: int | None = None) -> psutil.Process:
    async with asyncio.timeout(20):
        while True:
            for each in children():
                if each.pid != but and each.cpu_times().user > 0.6:
                    return each
            await asyncio.sleep(0.05)


async def test_whoever_stops_waiting_ends_the_process():
    async with processes() as reading:
        busy = asyncio.create_task(text_of(reading, BUSY))
        await _busy_one()
        busy.cancel()
        with pytest.raises(asyncio.CancelledError):
            await busy
        assert children() == []
        assert await text_of(reading, b"others go on") == "others go on"


@on_linux
async def test_a_process_knows_no_secrets_goes_first_and_leaves_no_core(monkeypatch):
    monkeypatch.setenv("WHATSAPP_SECRET", "s3cret")
    async with processes() as reading:
        await text_of(reading, b"warm")
        (child,) = children()
        proc = Path(f"/proc/{child.pid}")
        assert b"s3cret" not in (proc / "environ").read_bytes()
        assert (proc / "oom_score_adj").read_text().strip() == "1000"
        limits = (proc / "limits").read_text()
        assert [line.split()[4] for line in limits.splitlines() if line.startswith("Max core file size")] == ["0"]
        assert str(512 * MEGABYTE) in limits


@on_linux
async def test_processes_end_with_their_parent(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(
        "import asyncio\nfrom records.enrich.content import Read\nfrom records.enrich.limits import Limits\n"
        "from records.enrich.processes import ReadingProcesses\n"
        "async def main():\n    await ReadingProcesses(1, Limits()).answer(Read('a', '', b'warm'))\n"
        "    print('ready', flush=True)\n    await asyncio.sleep(60)\nasyncio.run(main())\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    parent = await asyncio.create_subprocess_exec(
        sys.executable, str(script), env=environment, stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    assert await parent.stdout.readline() == b"ready\n"
    (child,) = psutil.Process(parent.pid).children()
    parent.send_signal(signal.SIGKILL)
    await parent.wait()
    async with asyncio.timeout(10):
        while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
            await asyncio.sleep(0.02)


async def test_after_closing_nothing_is_left_of_what_was_under_way():
    reading = ReadingProcesses(2, Limits())
    under_way = [asyncio.create_task(text_of(reading, documents.word())) for _ in range(4)]
    await asyncio.sleep(0)
    await reading.close()
    assert all(await asyncio.gather(*under_way))
    assert children() == []
