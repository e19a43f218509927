"""Real files in a real directory."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from domain.automation import FileWatcher
from eventstore.blobs import LARGEST
from records.automations.files import occurrences
from tests.records.automations.platform import collected, until

QUICK = {"every": 0.1, "settled": 0.2}


def watcher(place: Path, pattern: str = "*", **more: bool) -> FileWatcher:
    return FileWatcher(str(place), pattern, **QUICK, **more)


async def test_a_file_is_told_of_once_with_its_content(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"hello")
    async with collected(occurrences(watcher(tmp_path))) as found:
        await until(lambda: len(found) == 1)
        (tmp_path / "b.txt").write_bytes(b"world")
        await until(lambda: len(found) == 2)
    assert [(each.name, each.content, each.unfit) for each in found] == [
        ("a.txt", b"hello", ""),
        ("b.txt", b"world", ""),
    ]
    assert found[0].values["file"] == str(tmp_path / "a.txt")


async def test_a_file_that_still_grows_is_waited_for(tmp_path: Path) -> None:
    """However long that takes: only what has come to rest is read."""
    began = time.monotonic()
    async with collected(occurrences(watcher(tmp_path))) as found:
        with (tmp_path / "large.txt").open("ab", buffering=0) as file:
            for _ in range(12):
                file.write(b"x" * 100)
                await asyncio.sleep(0.08)  # as a slow writer does
        assert time.monotonic() - began > 4 * QUICK["settled"]
        assert not found
        await until(lambda: len(found) == 1)
    assert found[0].content == b"x" * 1_200


async def test_another_content_is_another_occurrence_and_the_same_one_is_none(tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_bytes(b"1")
    async with collected(occurrences(watcher(tmp_path))) as found:
        await until(lambda: len(found) == 1)
        file.write_bytes(b"2")
        await until(lambda: len(found) == 2)
        file.write_bytes(b"1")
        await until(lambda: len(found) == 3)
    first, second, third = found
    assert first.id == third.id != second.id


async def test_a_file_of_a_date_that_has_not_come_is_no_exception(tmp_path: Path) -> None:
    """Clocks of file servers differ: what counts is how long nothing has changed."""
    (tmp_path / "a").write_bytes(b"a")
    os.utime(tmp_path / "a", (time.time() + 86_400, time.time() + 86_400))
    async with collected(occurrences(watcher(tmp_path))) as found:
        await until(lambda: len(found) == 1)


async def test_only_files_whose_names_are_like_the_pattern(tmp_path: Path) -> None:
    """No links, no folders, none that are hidden."""
    for name in ("yes.pdf", "no.txt", ".yes.pdf"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "deeper.pdf").write_bytes(b"x")
    (tmp_path / "link.pdf").symlink_to("/etc/hostname")
    async with collected(occurrences(watcher(tmp_path, "*.pdf"))) as found:
        await until(lambda: len(found) == 1)
        (tmp_path / "last.pdf").write_bytes(b"x")
        await until(lambda: len(found) == 2)
    assert [each.name for each in found] == ["yes.pdf", "last.pdf"]
    async with collected(occurrences(watcher(tmp_path, "*.pdf", recursive=True))) as found:
        await until(lambda: len(found) == 3)
    assert {each.name for each in found} == {"yes.pdf", "last.pdf", "deeper.pdf"}


async def test_what_is_too_large_is_named_but_not_read(tmp_path: Path) -> None:
    with (tmp_path / "huge.iso").open("wb") as file:
        file.truncate(LARGEST + 1)
    async with collected(occurrences(watcher(tmp_path))) as found:
        await until(lambda: len(found) == 1)
    assert found[0].content is None
    assert found[0].unfit == f"huge.iso: {LARGEST + 1} bytes; at most {LARGEST}"


async def test_what_cannot_be_read_is_named_and_keeps_nothing_else_from_being_read() -> None:
    """The memory of this process, read from its beginning, is such a file."""
    async with collected(occurrences(watcher(Path("/proc/self"), "[ms]*m"))) as found:
        await until(lambda: {"mem", "statm"} <= {each.name for each in found})
    unread = next(each for each in found if each.name == "mem")
    assert unread.content is None
    assert unread.unfit.startswith("mem: it cannot be read: ")


async def test_a_place_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        async for _ in occurrences(watcher(tmp_path / "none")):
            pass
