"""Export, import, backup and restore: the same events, byte for byte, at the same positions."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from domain import dataset
from domain.organization import Described
from eventstore.blobs import BUCKET, OBSERVED, Blobs, Bucket
from eventstore.connection import connect_to
from eventstore.envelope import Context, StreamId, now, recorded
from eventstore.store import EventStore, StreamWrite
from sagacity.archive.lines import FileFault, encode_line, read_lines
from sagacity.archive.named import named_by
from sagacity.initialising import initialise
from sagacity.wiring import catalogue
from tests.cli.conftest import Sagacity
from tests.eventstore.servers import Servers
from tests.golden import HOME


async def stored(url: str) -> list[tuple[int, bytes]]:
    """What the log holds, read by the event store itself."""
    connection = await connect_to(url)
    store = await EventStore.open(connection, catalogue())
    events = await store.read(0, 1_000)
    await store.close()
    await connection.close()
    return [(event.position, event.raw) for event in events]


def test_an_export_restores_the_log_byte_for_byte(filled: str, empty: str, sagacity: Sagacity) -> None:
    """Commands whose JSON came over several lines are one line in the log; exporting the copy gives the same file."""
    exported = sagacity("events", "export", "--nats", filled, "--out", "log.ndjson")
    imported = sagacity("events", "import", "log.ndjson", "--nats", empty)
    again = sagacity("events", "export", "--nats", empty)

    assert (exported.status, exported.errors) == (0, "5 events, up to position 5\n")
    assert (imported.status, imported.errors) == (0, "")
    assert imported.text == "5 events are in the log, 5 of them written now; all verified\n"
    before = asyncio.run(stored(filled))
    assert len(before) == 5
    assert asyncio.run(stored(empty)) == before
    assert not any(b"\n" in raw for _, raw in before)
    assert again.out == Path("log.ndjson").read_bytes()


def test_an_export_is_one_document_a_line(filled: str, sagacity: Sagacity) -> None:
    lines = sagacity("events", "export", "--nats", filled).out.splitlines()
    assert [json.loads(line)["position"] for line in lines] == [1, 2, 3, 4, 5]
    assert json.loads(lines[1])["event"]["data"]["data"] == {"name": "Acme"}


def test_an_export_takes_a_part_of_the_log(filled: str, sagacity: Sagacity) -> None:
    """By position, by time, by category."""

    def positions(*selection: object) -> list[int]:
        lines = sagacity("events", "export", "--nats", filled, *selection).out.splitlines()
        return [json.loads(line)["position"] for line in lines]

    moment = json.loads(sagacity("events", "export", "--nats", filled, "--until", 1).out)["event"]["time"]
    assert positions("--after", 1, "--until", 3) == [2, 3]
    assert positions("--category", "organization") == [1, 4]
    assert positions("--until", moment) == [1, 2]
    assert positions("--until", "2001-01-01") == []


def test_an_export_that_was_cut_off_goes_on(filled: str, sagacity: Sagacity) -> None:
    """From the last whole line, and only in a file that is this log's."""
    sagacity("events", "export", "--nats", filled, "--out", "whole.ndjson")
    whole = Path("whole.ndjson").read_bytes()
    for length in (0, 10, len(whole) // 2, len(whole) - 1, len(whole)):
        Path("cut.ndjson").write_bytes(whole[:length])
        resumed = sagacity("events", "export", "--nats", filled, "--out", "cut.ndjson", "--resume")
        assert resumed.status == 0, resumed.errors
        assert Path("cut.ndjson").read_bytes() == whole

    Path("cut.ndjson").write_bytes(whole.replace(b'"ann"', b'"bob"'))
    refused = sagacity("events", "export", "--nats", filled, "--out", "cut.ndjson", "--resume")
    assert (refused.status, refused.errors.count("\n")) == (2, 1)
    assert "is not what this log holds at position 5" in refused.errors


def test_an_interrupted_import_goes_on(own_nats: Servers, empty: str, sagacity: Sagacity) -> None:
    """Killed between two batches: a plain import refuses what is half there, --continue completes it."""
    asyncio.run(many_events(own_nats.url, 20_000))
    sagacity("events", "export", "--nats", own_nats.url, "--out", "log.ndjson")
    importing = subprocess.Popen([sys.executable, "-m", "sagacity", "events", "import", "log.ndjson", "--nats", empty])
    there = kill_when(importing, lambda: asyncio.run(last_position(empty)) > 0)

    plain = sagacity("events", "import", "log.ndjson", "--nats", empty)
    completed = sagacity("events", "import", "log.ndjson", "--nats", empty, "--continue")

    assert 0 < there < 20_000
    assert plain.status == 2
    assert f"the log is not empty: it holds {there} events" in plain.errors
    assert "--continue" in plain.errors
    assert completed.text == f"20000 events are in the log, {20_000 - there} of them written now; all verified\n"
    assert sagacity("events", "export", "--nats", empty).out == Path("log.ndjson").read_bytes()


async def many_events(url: str, count: int) -> None:

    connection = await connect_to(url)
    await initialise(connection)
    store = await EventStore.open(connection, catalogue())
    context = Context(time=now(), actor="ann", correlation_id="many")
    for first in range(0, count, 1_000):
        events = [Described(f"number {first + n}", {}) for n in range(1_000)]
        await store.append_all([StreamWrite(StreamId("organization", "acme"), first, events)], context)
    await store.close()
    await connection.close()


async def last_position(url: str) -> int:
    connection = await connect_to(url)
    store = await EventStore.open(connection, catalogue())
    last = (await store.state()).last
    await store.close()
    await connection.close()
    return last


def kill_when(process: subprocess.Popen[bytes], condition: Callable[[], bool]) -> int:
    """Kill it as soon as the condition holds; how far the log has come then."""
    deadline = time.monotonic() + 30
    url = process.args[-1]  # pyright: ignore[reportIndexIssue, reportUnknownVariableType]
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    return asyncio.run(last_position(str(url)))


def test_an_import_names_every_reason_and_writes_nothing(filled: str, empty: str, sagacity: Sagacity) -> None:
    sagacity("events", "export", "--nats", filled, "--out", "log.ndjson")
    lines = Path("log.ndjson").read_bytes().splitlines(keepends=True)
    lines[0] = lines[0].replace(b'"Acme"', b'"Acmo"')  # breaks the chain to version 2
    del lines[2]  # a gap in the positions
    Path("damaged.ndjson").write_bytes(b"".join(lines))

    refused = sagacity("events", "import", "damaged.ndjson", "--nats", empty)
    not_empty = sagacity("events", "import", "damaged.ndjson", "--nats", filled)

    assert (refused.status, refused.errors.count("\n")) == (2, 1)
    assert "position 4 follows position 2" in refused.errors
    assert "organization/acme version 2 does not follow from version 1" in refused.errors
    assert "the log is not empty: it holds 5 events" in not_empty.errors
    assert "position 4 follows position 2" in not_empty.errors
    assert asyncio.run(stored(empty)) == []


def there() -> set[str]:
    return {str(path.relative_to(".")) for path in Path().rglob("*")}


def test_a_refused_import_leaves_nothing(filled: str, sagacity: Sagacity) -> None:
    """No data directory that was not there, and nothing new in one that was."""
    sagacity("events", "export", "--nats", filled, "--out", "log.ndjson")
    Path("damaged.ndjson").write_bytes(Path("log.ndjson").read_bytes().replace(b'"Acme"', b'"Acmo"'))
    Path("prepared").mkdir()
    Path("prepared/sagacity.toml").write_text("port = 8001")
    before = there()

    for place in ("new", "deep/below/new", "prepared"):
        refused = sagacity("events", "import", "damaged.ndjson", "--data", place)
        assert (refused.status, refused.errors.count("\n")) == (2, 1)
        assert "nothing was imported: " in refused.errors
        assert there() == before

    assert sagacity("events", "import", "log.ndjson", "--data", "prepared").status == 0
    refused = sagacity("events", "import", "damaged.ndjson", "--data", "prepared")
    assert "the log is not empty" in refused.errors
    assert sagacity("verify", "--data", "prepared").text == "5 events in 4 streams: intact\n"


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("nowhere/nightly", "nowhere/nightly cannot be written: there is no directory "),
        ("/proc/nightly", "/proc/nightly cannot be written: No such file or directory"),
        ("/proc/nightly.tar", "/proc/nightly.tar cannot be written: No such file or directory"),
        ("file/nightly", "file/nightly cannot be written: there is no directory "),
    ],
)
def test_a_backup_that_cannot_be_written_says_why(filled: str, sagacity: Sagacity, place: str, why: str) -> None:
    """In words, and under the name that was given."""
    Path("file").write_text("")
    refused = sagacity("backup", place, "--nats", filled)
    assert (refused.status, refused.errors.count("\n")) == (2, 1)
    assert refused.errors.startswith(f"sagacity: {why}")
    assert "Errno" not in refused.errors


def test_an_import_goes_on_only_where_the_log_is_the_beginning_of_the_file(
    filled: str, empty: str, sagacity: Sagacity
) -> None:
    sagacity("events", "export", "--nats", filled, "--out", "log.ndjson")
    other = Path("log.ndjson").read_bytes().replace(b'"talk-1"', b'"talk-2"').splitlines(keepends=True)
    Path("other.ndjson").write_bytes(other[0])
    assert sagacity("events", "import", "other.ndjson", "--nats", empty).status == 0

    refused = sagacity("events", "import", "log.ndjson", "--nats", empty, "--continue")
    shorter = sagacity("events", "import", "other.ndjson", "--nats", filled, "--continue")

    assert "the log holds another history: position 1 is not that of log.ndjson" in refused.errors
    assert "the log holds more events (5) than other.ndjson (1)" in shorter.errors
    assert (refused.status, shorter.status) == (2, 2)


def test_an_import_waits_for_nobody_to_read_along(empty: str, filled: str, sagacity: Sagacity) -> None:
    """A saga runner at work would react to old events, so it must be stopped first."""
    sagacity("events", "export", "--nats", filled, "--out", "log.ndjson")

    async def import_beside_a_reader() -> str:
        connection = await connect_to(empty)
        subscription = await connection.jetstream().pull_subscribe("evt.>", durable="sagas", stream="EVENTS")
        waiting = asyncio.create_task(subscription.fetch(1, timeout=20))
        await asyncio.sleep(0.1)
        refused = await asyncio.to_thread(sagacity, "events", "import", "log.ndjson", "--nats", empty)
        waiting.cancel()
        await connection.close()
        return refused.errors

    assert "'sagas' is reading this log and would react to old events" in asyncio.run(import_beside_a_reader())


@pytest.mark.parametrize("place", ["nightly", "nightly.tar"])
def test_a_backup_restores_into_a_new_data_directory(filled: str, sagacity: Sagacity, place: str) -> None:
    """Which needs no running platform; afterwards the log there is intact and the same."""
    backed_up = sagacity("backup", place, "--nats", filled, "--json")
    restored = sagacity("restore", place, "--data", "restored")
    verified = sagacity("verify", "--data", "restored")

    manifest = json.loads(backed_up.out)
    assert (manifest["events"], manifest["last_position"], len(manifest["last_hash"])) == (5, 5, 64)
    assert (restored.status, restored.errors) == (0, "")
    assert "read models follow from the log" in restored.text
    assert verified.text == "5 events in 4 streams: intact\n"
    exported = sagacity("events", "export", "--data", "restored")
    assert exported.out == sagacity("events", "export", "--nats", filled).out
    again = sagacity("backup", place, "--nats", filled)
    assert (again.status, again.errors) == (2, f"sagacity: {place} exists already\n")


def test_a_changed_backup_is_refused(filled: str, empty: str, sagacity: Sagacity) -> None:
    """Whatever was changed: the export, its last event (which no chain protects), the manifest."""
    sagacity("backup", "good", "--nats", filled)

    def refusal(change: Callable[[Path], object]) -> str:
        shutil.copytree("good", "bad")
        change(Path("bad"))
        refused = sagacity("restore", "bad", "--nats", empty)
        shutil.rmtree("bad")
        assert (refused.status, refused.errors.count("\n")) == (2, 1)
        return refused.errors

    def change_last_event(backup: Path) -> None:
        content = gzip.decompress((backup / "events.ndjson.gz").read_bytes())
        (backup / "events.ndjson.gz").write_bytes(gzip.compress(content.replace(b"organization.describe", b"x")))

    def claim_more(backup: Path) -> None:
        manifest = json.loads((backup / "manifest.json").read_bytes())
        (backup / "manifest.json").write_text(json.dumps({**manifest, "events": 6}))

    assert "the SHA-256 of events.ndjson.gz is " in refusal(change_last_event)
    assert "holds 5 events up to position 5" in refusal(claim_more)
    assert "events.ndjson.gz cannot be read" in refusal(lambda backup: (backup / "events.ndjson.gz").unlink())
    assert "it has no manifest.json" in refusal(lambda backup: (backup / "manifest.json").unlink())
    assert "is no manifest" in refusal(lambda backup: (backup / "manifest.json").write_text("{}"))
    assert asyncio.run(stored(empty)) == []


KEPT, ROWS = os.urandom(300_000), b"observed rows"


async def blobs_of(url: str) -> dict[tuple[Bucket, str], bytes]:
    connection = await connect_to(url)
    blobs = Blobs(connection)
    buckets: tuple[Bucket, ...] = (BUCKET, OBSERVED)
    stored = [(bucket, hash) for bucket in buckets for hash in await blobs.hashes(bucket)]
    found = {(bucket, hash): await blobs.get_from(bucket, hash) for bucket, hash in stored}
    await connection.close()
    return found


async def put_two(url: str) -> tuple[str, str]:
    connection = await connect_to(url)
    blobs = Blobs(connection)
    hashes = await blobs.put(KEPT), await blobs.put(ROWS, OBSERVED)
    await connection.close()
    return hashes


@pytest.mark.parametrize("place", ["nightly", "nightly.tar"])
def test_what_the_log_names_by_hash_is_backed_up_with_it(
    filled: str, empty: str, sagacity: Sagacity, place: str
) -> None:
    kept, rows = asyncio.run(put_two(filled))
    backed_up = sagacity("backup", place, "--nats", filled)
    assert (backed_up.status, backed_up.errors) == (0, "")
    assert backed_up.text.startswith("5 events up to position 5 and 2 blobs are in ")
    for _ in range(2):
        restored = sagacity("restore", place, "--nats", empty, "--continue")
        assert (restored.status, restored.errors) == (0, "")
        assert asyncio.run(blobs_of(empty)) == {(BUCKET, kept): KEPT, (OBSERVED, rows): ROWS}


@pytest.mark.parametrize("packed", [False, True])
def test_a_blob_that_is_missing_or_changed_is_named(filled: str, empty: str, sagacity: Sagacity, packed: bool) -> None:
    """And so is a changed list of them; then nothing is restored."""
    kept, rows = asyncio.run(put_two(filled))
    sagacity("backup", "good", "--nats", filled)

    def refusal(change: Callable[[Path], object]) -> str:
        shutil.copytree("good", "bad")
        change(Path("bad"))
        place = "bad"
        if packed:
            place = "bad.tar"
            subprocess.run(["tar", "--transform=s,^./,,", "-cf", place, "-C", "bad", "."], check=True)
        refused = sagacity("restore", place, "--nats", empty)
        shutil.rmtree("bad")
        assert (refused.status, refused.errors.count("\n")) == (2, 1)
        return refused.errors

    assert f"BLOBS/{kept} was changed" in refusal(lambda backup: (backup / "BLOBS" / kept).write_bytes(b"x"))
    assert f"OBSERVED/{rows} is missing" in refusal(lambda backup: (backup / "OBSERVED" / rows).unlink())
    assert "the SHA-256 of blobs.sha256 is " in refusal(
        lambda backup: (backup / "blobs.sha256").write_text(f"{kept}  BLOBS/{kept}\n")
    )
    assert "blobs.sha256 cannot be read: No such file" in refusal(lambda backup: (backup / "blobs.sha256").unlink())
    says = refusal(lambda backup: (backup / "blobs.sha256").write_text(f"{kept}  ../{kept}\n"))
    assert "blobs.sha256, line 1: no line of a list of blobs" in says
    assert asyncio.run(stored(empty)) == []
    assert asyncio.run(blobs_of(empty)) == {}


def test_a_blob_that_is_lost_is_named_and_the_rest_is_backed_up(filled: str, empty: str, sagacity: Sagacity) -> None:
    """For nobody would be helped by having no backup at all."""
    kept, rows = asyncio.run(put_two(filled))

    async def lose() -> None:
        connection = await connect_to(filled)
        bucket = await connection.jetstream().object_store(BUCKET)
        await bucket.put(kept, b"something else")
        await connection.close()

    asyncio.run(lose())
    backed_up = sagacity("backup", "nightly", "--nats", filled)
    says = f"sagacity: not in the backup, because they are lost: BLOBS/{kept}\n"
    assert (backed_up.status, backed_up.errors) == (1, says)
    restored = sagacity("restore", "nightly", "--nats", empty)
    assert (restored.status, restored.errors) == (1, says)
    assert asyncio.run(blobs_of(empty)) == {(OBSERVED, rows): ROWS}
    assert asyncio.run(stored(empty)) == asyncio.run(stored(filled))


DATA = dataset.Registered("Rows", "upload", hashlib.sha256(KEPT).hexdigest(), len(KEPT), 1, None, (), 1.0, {})


async def name_and_lose(url: str) -> None:
    """A data set whose rows are stored no more."""
    connection = await connect_to(url)
    store = await EventStore.open(connection, catalogue())
    hash = await Blobs(connection).put(KEPT)
    context = Context(time=now(), actor="ann", correlation_id="rows")
    await store.append_all([StreamWrite(StreamId("dataset", "rows"), 0, [DATA])], context)
    await (await connection.jetstream().object_store(BUCKET)).delete(hash)
    await store.close()
    await connection.close()


def test_what_the_log_names_and_nobody_stores_is_lost(filled: str, empty: str, sagacity: Sagacity) -> None:
    """Said when it is backed up and when it is restored, until the same content comes again."""
    asyncio.run(name_and_lose(filled))
    says = f"sagacity: not in the backup, because they are lost: BLOBS/{DATA.content}\n"

    backed_up = sagacity("backup", "nightly.tar", "--nats", filled)
    restored = sagacity("restore", "nightly.tar", "--nats", empty)
    asyncio.run(put_two(empty))
    repaired = sagacity("backup", "again", "--nats", empty)

    assert (backed_up.status, backed_up.errors) == (1, says)
    assert (restored.status, restored.errors) == (1, says)
    assert (repaired.status, repaired.errors) == (0, "")
    assert asyncio.run(stored(empty)) == asyncio.run(stored(filled))


HASH_FIELDS = {"artifact", "content", "reference", "hash", "sha256", "original", "prompt", "answer"}
FOR_A_TIME = {"monitor.inputs_observed", "monitor.outcomes_observed"}
NO_HASHES = {"automation.fired"}
"""What an action refers to is a record or a command."""


@pytest.mark.parametrize("path", sorted(HOME.glob("*/*.json")), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_hash_in_every_type_of_event_is_known_to_a_backup(path: Path) -> None:
    """A new event type with a blob cannot be forgotten, as long as its field is called what such fields are called."""
    document, there = json.loads(path.read_bytes()), set[str]()

    def fill_in(part: Any) -> None:
        for name, value in part.items() if isinstance(part, dict) else enumerate(part):
            if isinstance(value, dict | list):
                fill_in(value)
            elif name in HASH_FIELDS or part is document["data"].get("exchanges"):
                part[name] = f"{len(there):064x}"
                there.add(part[name])

    fill_in(document["data"])
    event = catalogue().decode(recorded(1, json.dumps(document).encode()).envelope)
    assert set(named_by(event)) == (set() if path.parent.name in FOR_A_TIME | NO_HASHES else there)


def test_a_backup_of_an_earlier_version_restores(filled: str, empty: str, sagacity: Sagacity) -> None:
    """It has no blobs."""
    sagacity("backup", "nightly", "--nats", filled)
    manifest = json.loads(Path("nightly/manifest.json").read_bytes())
    for name in ("blobs", "blobs_sha256", "lost_blobs"):
        del manifest[name]
    Path("nightly/manifest.json").write_text(json.dumps({**manifest, "format": "sagacity-backup-1"}))
    for left in ("BLOBS", "OBSERVED"):
        Path("nightly", left).rmdir()
    Path("nightly/blobs.sha256").unlink()
    subprocess.run(["tar", "--transform=s,^./,,", "-cf", "nightly.tar", "-C", "nightly", "."], check=True)
    assert sagacity("restore", "nightly", "--nats", empty).status == 0
    assert sagacity("restore", "nightly.tar", "--nats", empty, "--continue").status == 0
    assert asyncio.run(stored(empty)) == asyncio.run(stored(filled))


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a":1}',
        b'{"a": "\xe2\x80\xa8 \\n"}',
        b'{"a":\n1}',
        b'{"a":\r1}',
        b' {"a":1}',
        b'{"a":1} ',
        b"\xff",
        b"",
        b"nul",
        b'{"a":1},"bytes":"AA=="',
    ],
)
def test_any_bytes_survive_a_line(raw: bytes, tmp_path: Path) -> None:
    file = tmp_path / "lines"
    line = encode_line(7, raw)
    file.write_bytes(line)
    assert line.count(b"\n") == 1
    assert [(each.position, each.raw) for each in read_lines(file)] == [(7, raw)]


def test_a_line_that_is_none_is_named(tmp_path: Path) -> None:
    file = tmp_path / "lines"
    file.write_bytes(encode_line(1, b"{}") + b'{"position":"2"}\n')
    with pytest.raises(FileFault, match="line 2: no line of an export"):
        list(read_lines(file))
