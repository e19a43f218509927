"""The whole pipeline on a real log: a source, messages that are taken in, and processors that may end at any moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial

import msgspec

from domain import conversation, record, source
from domain.contexts import DECIDERS
from domain.message import Attachment, Message, Sender
from domain.source import Configuration
from eventstore.blobs import Blobs
from eventstore.envelope import Envelope, StreamId, new_id
from eventstore.tasks import end_tasks
from handlers.command import Caller, Directive, Outcome
from records.analyse.analyser import Analyser
from records.analyse.answers import read_answer
from records.analyse.domains import DomainClassifier
from records.channels.form import Incoming
from records.enrich.attached import Fetch
from records.enrich.enricher import Enricher
from records.following import Schemas
from records.intake import keep
from records.processing import Processor
from records.stages import Stages
from sagacity.record_work import publish_builtin, tell
from sagacity.wiring import Core, open_core
from tests.eventstore.log import until
from tests.records.generated import NOON, OFFICE

ME = Caller(actor="ann")
DECIDER = {decider.category: decider for decider in DECIDERS}
CLASSIFIER = DomainClassifier()
"""Trained once for all tests of a process."""

INVOICE = (
    "Invoice from Harrow & Finch Ltd, to be paid by transfer.\n\nInvoice number: RE-2026-0815\n"
    "Invoice date: 2026-11-02\nSeller: Example GmbH\nNet amount: 100.00 EUR\nTax: 19.00 EUR\nTotal: 119.00 EUR\n"
    "Payment method: transfer\nIBAN: DE89370400440532013000\nDue date: 2026-12-02\nBuyer: Sample SARL\n"
)

Write = Callable[[str, str, msgspec.Struct], Awaitable[None]]
"""Called around a write of the processor, with category, id and command."""


class Pipeline:
    """The source is called as the test likes; ids of records are made of it."""

    def __init__(self, core: Core, source: str) -> None:
        self.core, self.source, self.blobs = core, source, Blobs(core.connection)
        self.configuration = OFFICE

    async def open(self, configuration: Configuration = OFFICE) -> None:
        self.configuration = configuration
        await self.command("source", self.source, source.Register(**msgspec.structs.asdict(configuration)))

    async def command(self, category: str, id: str, command: msgspec.Struct, command_id: str | None = None) -> Outcome:
        directive = Directive(id=command_id or new_id(), category=category, stream_id=id, command=command)
        (outcome,) = await self.core.handler.direct([directive], ME)
        assert outcome.outcome == "accepted", outcome
        return outcome

    def message(self, external_id: str, text: str = "", *attachments: Attachment, **changed: object) -> Message:
        given = Message(
            self.configuration.platform, self.source, external_id, Sender("bob@example.org"), NOON, text=text
        )
        return msgspec.structs.replace(given, attachments=attachments, **changed)

    async def deliver(self, incoming: Incoming) -> Outcome:
        """As the API does it."""
        kept = await keep(self.blobs, self.configuration, incoming)
        directive = Directive(id=kept.command_id, category="record", stream_id=kept.record_id, command=kept.command)
        (outcome,) = await self.core.handler.direct([directive], ME)
        return outcome

    async def receive(self, external_id: str, text: str = "", *files: tuple[str, str, bytes], **changed: object) -> str:
        """The id of its record; `files` are names, media types and contents."""
        attachments = [Attachment(name, media_type, len(content)) for name, media_type, content in files]
        message = self.message(external_id, text, *attachments, **changed)
        contents = dict(enumerate(content for _, _, content in files))
        outcome = await self.deliver(Incoming(message, text.encode(), "text/plain", contents))
        assert outcome.outcome == "accepted", outcome
        return outcome.stream.id

    async def ask(self, id: str, gaps: Sequence[str], reference: str = "question-1") -> None:
        """What the follow-up saga writes when it has asked, beside the record's own event."""
        known = await self.state(id)
        message = known.received.message
        chat = conversation.id_of(message.source, message.conversation)
        opened = conversation.Open(id, known.follow_up.number, reference, message.sender.id)
        await self.command("conversation", chat, opened)
        question = record.Question("en", "What is missing?", tuple(gaps))
        told = record.ReportAsked(known.follow_up.number, question, message.platform, reference, NOON, NOON)
        await self.command("record", id, told)

    async def events(self, id: str, category: str = "record") -> list:
        stored = await self.core.store.load(StreamId(category, id), latest=True)
        return [self.core.store.decode(event) for event in stored]

    async def names(self, id: str) -> list[str]:
        return [type(event).__name__ for event in await self.events(id)]

    async def state(self, id: str):
        return DECIDER["record"].fold(await self.events(id))

    async def settled(self, id: str, right: Callable[[record.Known], bool] = lambda known: True) -> record.Known:
        """Once nothing is left to be done for it, and it is so."""

        async def is_settled() -> bool:
            known = await self.state(id)
            done = isinstance(known, record.Known) and known.next is None
            return done and (known.parked is not None or known.assessment is not None) and right(known)

        await until(is_settled, 40)
        return await self.state(id)


@asynccontextmanager
async def pipeline(url: str, source: str) -> AsyncGenerator[Pipeline]:
    async with open_core(url) as core:
        await publish_builtin(core)
        yield Pipeline(core, source)


class Around:
    """What happens before and after each write of a processor."""

    def __init__(self, core: Core, before: Write | None, after: Write | None) -> None:
        self._core, self._before, self._after = core, before, after

    async def tell(
        self, category: str, id: str, command: msgspec.Struct, command_id: str, cause: Envelope
    ) -> str | None:
        if self._before is not None:
            await self._before(category, id, command)
        refused = await tell(self._core, category, id, command, command_id, cause)
        if self._after is not None:
            await self._after(category, id, command)
        return refused


@asynccontextmanager
async def processing(
    core: Core,
    *,
    before: Write | None = None,
    after: Write | None = None,
    fetch: Fetch | None = None,
    changed: Callable[[Stages], Stages] = lambda stages: stages,
    ack_wait: float = 1.0,
) -> AsyncGenerator[Processor]:
    """Ended without a goodbye, as by a kill."""
    await CLASSIFIER.classify("")
    blobs = Blobs(core.connection)
    real = Enricher(blobs, fetch)
    stages = changed(Stages(real, Analyser(CLASSIFIER, None, blobs), read_answer, Schemas(core.store), blobs))
    told = Around(core, before, after).tell if before or after else partial(tell, core)
    processor = Processor(core.store, core.aggregates, stages, told, ack_wait=ack_wait)
    running = asyncio.create_task(processor.run())
    try:
        async with asyncio.timeout(20):
            await processor.ready.wait()
        yield processor
        assert not running.done(), running.result()
    finally:
        await end_tasks(running)
        await real.close()
