"""Messages from being received to being scored, every event durable, beside the same writes without any work."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks.quality_meter import Meter, MeteredStages, Spent, server_seconds
from domain import source
from domain.source import Configuration
from eventstore.blobs import Blobs
from eventstore.committer import Committer, Message
from eventstore.connection import connect_to
from eventstore.envelope import Envelope, Recorded
from eventstore.streams import LogLocation, create_log
from eventstore.tasks import end_tasks
from handlers.command import Caller, Directive
from records.analyse.analyser import Analyser
from records.analyse.answers import read_answer
from records.analyse.domains import DomainClassifier
from records.enrich import entities
from records.enrich.enricher import Enricher
from records.following import Schemas
from records.intake import keep
from records.processing import Processor
from sagacity.initialising import initialise_server
from sagacity.record_work import publish_builtin, tell
from sagacity.wiring import Core, open_core
from tests.eventstore.servers import Servers
from tests.records.generated import OFFICE, generated

CALLERS: Final = 64
_ME: Final = Caller(actor="bench")
_SOURCE: Final = "office"
_SERVER: Final = "the log's server"
_REST: Final = "deliveries, loads, event loop"


class Round(NamedTuple):
    """`spent`: seconds of the processor by part, of all messages; `raw`: the same writes alone."""

    messages: int
    seconds: float
    raw_seconds: float
    spent: Spent
    writes: int
    bytes: int


async def run(console: Console, messages: int, rounds: int, seed: int) -> None:
    measured: list[Round] = []
    for number in range(rounds):
        servers = Servers(1)
        try:
            servers.start()
            await servers.ready()
            await initialise_server(servers.url)
            measured.append(await _round(servers, messages, seed + number))
        finally:
            servers.stop()
    _show(console, measured)


async def _round(servers: Servers, messages: int, seed: int) -> Round:
    meter = Meter()
    async with open_core(servers.url) as core, _processing(core, meter):
        configuration = await _registered(core)
        warm = [each.incoming for each in generated(CALLERS, seed + 1_000, _SOURCE, poison=0, documents_of=0)]
        for number, each in enumerate(warm):
            changed = msgspec.structs.replace(each.message, external_id=f"warm-{number}")
            await _received(core, configuration, each._replace(message=changed))
        await _scored(core, 0, len(warm))
        start, server = (await core.store.state()).last, server_seconds(servers)
        meter.spent.clear()
        given = [each.incoming for each in generated(messages, seed, _SOURCE, poison=0, documents_of=0)]
        begun, cpu, thread = time.perf_counter(), time.process_time(), time.thread_time()
        scored = asyncio.create_task(_scored(core, start, messages))
        await _all(given, lambda each: meter.of("take in", _received(core, configuration, each)))
        await scored
        seconds, cpu, thread = time.perf_counter() - begun, time.process_time() - cpu, time.thread_time() - thread
        spent = meter.spent.copy()
        spent["analyse"] += cpu - thread  # what is not done in this thread is the classification
        spent[_REST] = cpu - sum(spent.values())
        spent[_SERVER] = server_seconds(servers) - server
        writes = await _writes(core, start)
    raw = await _raw_seconds(servers, writes)
    payloads = [payload for of_record in writes for write in of_record for payload in write]
    return Round(messages, seconds, raw, spent, sum(map(len, writes)), sum(map(len, payloads)))


@asynccontextmanager
async def _processing(core: Core, meter: Meter) -> AsyncGenerator[None]:
    await publish_builtin(core)
    blobs, classifier = Blobs(core.connection), DomainClassifier()
    enricher = Enricher(blobs, None)
    await enricher.warm_up()
    for language in ("en", "fr", "de", "es"):
        await asyncio.to_thread(entities.load, language)
    await classifier.classify("")
    MeteredStages.meter = meter
    stages = MeteredStages(enricher, Analyser(classifier, None, blobs), read_answer, Schemas(core.store), blobs)

    async def told(category: str, id: str, command: msgspec.Struct, command_id: str, cause: Envelope) -> str | None:
        return await meter.of("write", tell(core, category, id, command, command_id, cause))

    processing = asyncio.create_task(Processor(core.store, core.aggregates, stages, told).run())
    try:
        yield
    finally:
        await end_tasks(processing)
        await enricher.close()


async def _registered(core: Core) -> Configuration:
    register = source.Register(**msgspec.structs.asdict(OFFICE))
    directive = Directive(id="register", category="source", stream_id=_SOURCE, command=register)
    await core.handler.direct([directive], _ME)
    return OFFICE


async def _received(core: Core, configuration: Configuration, incoming: Any) -> None:
    kept = await keep(Blobs(core.connection), configuration, incoming)
    directive = Directive(id=kept.command_id, category="record", stream_id=kept.record_id, command=kept.command)
    await core.handler.direct([directive], _ME)


async def _scored(core: Core, after: int, messages: int) -> None:
    """Until so many are."""
    async with core.store.follow(after, categories=["record"]) as feed:
        async for batch in feed.raw_batches():
            messages -= sum(b'"type":"record.scored"' in raw for _, raw in batch)
            if messages <= 0:
                return


async def _writes(core: Core, after: int) -> list[list[list[bytes]]]:
    """By record, what was written for it together: a command's record stands behind its events."""
    found: dict[str, list[list[bytes]]] = {}
    together: list[Recorded] = []
    while page := await core.store.read(after):
        for event in page:
            together.append(event)
            if event.stream.category == "command":
                of = next(each.stream.id for each in together if each.stream.category == "record")
                found.setdefault(of, []).append([each.raw for each in together])
                together = []
        after = page[-1].position
    return list(found.values())


async def _raw_seconds(servers: Servers, writes: Sequence[Sequence[Sequence[bytes]]]) -> float:
    """The very same bytes, committed in the same groups by as many callers, one write of a record after the other."""
    connection = await connect_to(servers.url)
    location = LogLocation("RAW", "raw")
    await create_log(connection, location)
    committer = await Committer(connection, location).open()

    async def commit(numbered: tuple[int, Sequence[Sequence[bytes]]]) -> None:
        number, of_record = numbered
        for step, payloads in enumerate(of_record):
            named = [Message(f"raw.{number}.{step}.{place}", payload) for place, payload in enumerate(payloads)]
            await committer.commit(named)

    begun = time.perf_counter()
    await _all(list(enumerate(writes)), commit)
    seconds = time.perf_counter() - begun
    await committer.close()
    await connection.close()
    return seconds


G = TypeVar("G")


async def _all(given: Sequence[G], work: Callable[[G], Awaitable[None]]) -> None:
    left = iter(given)

    async def caller() -> None:
        for each in left:
            await work(each)

    await asyncio.gather(*(caller() for _ in range(CALLERS)))


def _show(console: Console, measured: Sequence[Round]) -> None:
    ours = [each.messages / each.seconds for each in measured]
    raw = [each.messages / each.raw_seconds for each in measured]
    table = Table("received to scored, durable", "messages/s", "lowest", "highest", title_justify="left")
    for name, rates in ((f"Sagacity, {CALLERS} callers, one process", ours), ("the same writes, no work", raw)):
        table.add_row(name, *(f"{rate:,.0f}" for rate in (statistics.median(rates), min(rates), max(rates))))
    ratio = statistics.median(each.raw_seconds / each.seconds for each in measured)
    table.add_row("share of the limit", f"{ratio:.2f}", "", "")
    console.print(table)
    total: Spent = defaultdict(float)
    for each in measured:
        for name, seconds in each.spent.items():
            total[name] += seconds
    messages, writes = sum(each.messages for each in measured), sum(each.writes for each in measured)
    parts = Table("processor time of a message, ms", "", title_justify="left")
    for name, seconds in sorted(total.items(), key=lambda part: -part[1]):
        parts.add_row(name, f"{seconds / messages * 1e3:.2f}")
    here = sum(seconds for name, seconds in total.items() if name != _SERVER)
    parts.add_row("this process in all", f"{here / messages * 1e3:.2f}, {messages / here:,.0f} messages a second of it")
    console.print(parts)
    slowest = max((name for name in total if name not in (_REST, _SERVER)), key=lambda name: total[name])
    size = sum(each.bytes for each in measured) / messages / 1_024
    console.print(
        f"limited by {slowest!r}; {len(measured)} rounds of {measured[0].messages:,} messages, "
        f"{writes / messages:.1f} writes and {size:.1f} kB each"
    )
