"""A message on its way through all stages, whatever fails, comes twice, or is known meanwhile."""

import asyncio
import uuid

import httpx
import msgspec
import pytest
from msgspec import structs

from domain import record, source
from domain.message import Attachment, record_id
from domain.source import Configuration, FollowUpPolicy, Reply
from eventstore.blobs import create_blobs
from eventstore.streams import ask
from records.channels.form import Incoming
from records.stages import Stages
from sagacity.initialising import initialise_server
from sagacity.wiring import open_core
from tests.eventstore.log import until
from tests.records.enrich import documents
from tests.records.generated import OFFICE
from tests.records.pipeline import INVOICE, pipeline, processing

ALL = ["Received", "Enriched", "Analysed", "Scored", "Persisted", "Completed"]
CHAT = Configuration(
    "telegram", "Chat", domain="financial", follow_up=FollowUpPolicy(rounds=2), reply=Reply(token="TELEGRAM_TOKEN")
)
NO_BUYER = INVOICE.replace("Buyer: Sample SARL\n", "").replace("Due date: 2026-12-02\n", "")


@pytest.fixture
async def p(log_url):
    async with pipeline(log_url, f"s{uuid.uuid4().hex[:8]}") as opened:
        await opened.open()
        yield opened


@pytest.fixture
async def chat(log_url):
    async with pipeline(log_url, f"c{uuid.uuid4().hex[:8]}") as opened:
        await opened.open(CHAT)
        yield opened


class Failing:
    """A stage that does not work so many times."""

    def __init__(self, stages: Stages, stage: str, times: int) -> None:
        self._stages, self._stage, self.left, self.tried = stages, stage, times, 0

    def __getattr__(self, name):
        real = getattr(self._stages, name)
        if name != self._stage:
            return real
        return self._score if name == "score" else self._run

    async def _run(self, *given):
        self._fail()
        return await getattr(self._stages, self._stage)(*given)

    def _score(self, *given):
        self._fail()
        return self._stages.score(*given)

    def _fail(self):
        self.tried += 1
        self.left -= 1
        if self.left >= 0:
            raise RuntimeError("out of order")


async def test_each_stage_is_an_event_with_what_it_added(p):
    async with processing(p.core):
        id = await p.receive("m-1", INVOICE, ("note.txt", "text/plain", b"Thank you for your order."))
        known = await p.settled(id)
    received, enriched, analysed, scored, persisted, completed = await p.events(id)
    assert await p.names(id) == ALL
    assert (received.raw, received.message.text) == (INVOICE, INVOICE)
    assert [text.origin for text in enriched.enrichment.texts] == ["message", "note.txt"]
    assert enriched.enrichment.language == "en"
    assert analysed.analysis.domain == "financial"
    assert analysed.analysis.readings["iban"].value == "DE89370400440532013000"
    assert scored.assessment.score == completed.score == 1.0
    assert persisted.values["total"] == 119.0
    assert known.completed


async def test_a_stage_that_fails_is_tried_again(p):
    failing = []
    async with processing(p.core, changed=lambda stages: failing.append(Failing(stages, "enrich", 2)) or failing[0]):
        id = await p.receive("m-1", INVOICE)
        await p.settled(id)
    assert failing[0].tried == 3
    assert await p.names(id) == ALL


@pytest.mark.parametrize(
    ("stage", "fallback"), [("enrich", "analysed as it came"), ("analyse", "scored by what came as fields")]
)
async def test_a_stage_that_fails_for_good_has_its_fallback(p, stage, fallback):
    async with processing(p.core, changed=lambda stages: Failing(stages, stage, 99)):
        id = await p.receive("m-1", INVOICE, data={"invoice_number": "RE-7", "seller": {"name": "Example GmbH"}})
        known = await p.settled(id)
    failed = next(event for event in await p.events(id) if isinstance(event, record.StageFailed))
    assert failed == record.StageFailed(stage, "RuntimeError: out of order", True, fallback)
    done = {"enrich": "Enriched", "analyse": "Analysed"}[stage]
    assert [name for name in ALL[:5] if name != done] == [
        name for name in await p.names(id) if name not in ("StageFailed", "Completed")
    ]
    assert known.assessment.schema_name == "financial"
    values = next(event for event in await p.events(id) if isinstance(event, record.Persisted)).values
    assert (values["invoice_number"], values["seller.name"]) == ("RE-7", "Example GmbH")
    assert ("total" in values) == (stage == "enrich")


async def test_a_stage_without_a_fallback_parks_the_record_until_it_is_retried(p):
    async with processing(p.core, changed=lambda stages: Failing(stages, "score", 3)):
        id = await p.receive("m-1", INVOICE)
        known = await p.settled(id)
        assert known.parked == record.Parked("score", "RuntimeError: out of order", True)
        await p.command("record", id, record.Retry())
        known = await p.settled(id, lambda known: known.parked is None)
    assert known.completed
    assert await p.names(id) == [*ALL[:3], "StageFailed", "Parked", "Retried", *ALL[3:]]


async def test_what_cannot_be_read_at_all_is_parked_with_every_reason_and_goes_on_when_it_can(p):
    away = [True]

    async def fetch(_message, attachment):
        if away[0]:
            raise httpx.ConnectError(f"{attachment.name} is away")
        return INVOICE.encode()

    async with processing(p.core, fetch=fetch):
        message = p.message("m-1", "", *(Attachment(f"{name}.txt", "text/plain", remote=name) for name in "ab"))
        outcome = await p.command("record", (id := record_id(message)), record.Receive(message))
        known = await p.settled(id)
        assert known.parked.stage == "enrich"
        assert known.parked.retryable
        assert known.parked.reason == "a.txt: not fetched: a.txt is away; b.txt: not fetched: b.txt is away"
        away[0] = False
        await p.command("record", id, record.Retry())
        known = await p.settled(id, lambda known: known.parked is None)
    assert outcome.stream.id == id
    assert known.completed
    assert known.assessment.schema_name == "financial"


@pytest.mark.parametrize(
    ("files", "text"),
    [
        ([("a.pdf", "application/pdf", b"%PDF-1.7 broken")], "See the attachment, please."),
        ([("a.pdf", "application/pdf", b"%PDF-1.7 broken"), ("b.txt", "text/plain", INVOICE.encode())], ""),
        ([("a.png", "image/png", documents.png())], ""),
    ],
    ids=["a text beside it", "another attachment", "nothing here reads it"],
)
async def test_what_can_be_read_in_part_is_scored_with_flags(p, files, text):
    async with processing(p.core):
        known = await p.settled(await p.receive("m-1", text, *files))
    assert known.parked is None
    assert {flag.path for flag in known.assessment.flags} >= {files[0][0]}


async def test_the_longest_ids_have_room_for_all_commands(log_url):
    """Ids of records and commands are made of that of the source."""
    async with pipeline(log_url, f"s{uuid.uuid4().hex}".ljust(50, "x")) as p:
        await p.open()
        async with processing(p.core):
            id = await p.receive("m-1", INVOICE)
            assert (await p.settled(id)).completed


async def test_without_the_store_of_blobs_records_only_wait(own_nats):
    await own_nats.ready()
    await initialise_server(own_nats.url)
    async with pipeline(own_nats.url, "office") as p:
        await p.open()
        await ask(p.core.connection, "STREAM.DELETE.OBJ_BLOBS")
        async with processing(p.core):
            long = await p.receive("long", INVOICE + "\nThank you. " * 4_000)
            short = await p.receive("short", INVOICE)
            assert (await p.settled(short)).completed
            assert (await p.state(long)).next == "enrich"
            await create_blobs(p.core.connection)
            assert (await p.settled(long)).completed
        assert await p.names(long) == ALL


async def test_when_the_log_comes_back_records_go_on(own_nats):
    await own_nats.ready()
    await initialise_server(own_nats.url)
    async with pipeline(own_nats.url, "office") as p:
        await p.open()
        under_way, go_on = asyncio.Event(), asyncio.Event()

        async def stop(_category, _id, command):
            if isinstance(command, record.Analyse):
                under_way.set()
                await go_on.wait()

        async with processing(p.core, before=stop):
            ids = [await p.receive(f"m-{number}", INVOICE) for number in range(30)]
            await under_way.wait()
            own_nats.nodes[0].kill()
            go_on.set()
            await asyncio.sleep(0.1)
            own_nats.nodes[0].start()
            await own_nats.ready()
            for id in ids:
                assert (await p.settled(id)).completed
                assert await p.names(id) == ALL


async def asked(chat, text=NO_BUYER):
    """A record that asks for its buyer, and where."""
    id = await chat.receive("m-1", f"{text}\n{chat.source}", conversation="c-1")  # no duplicate of another test's
    known = await chat.settled(id, lambda known: known.follow_up is not None)
    await chat.ask(id, known.follow_up.gaps)
    return id


async def test_an_answer_is_told_to_the_record_that_was_asked_about_which_is_scored_anew(chat):
    async with processing(chat.core):
        id = await asked(chat)
        before = (await chat.state(id)).assessment
        answer = await chat.receive("m-2", "Buyer: Sample SARL\nDue date: 2026-12-02", conversation="c-1")
        own = await chat.settled(answer)
        known = await chat.settled(id, lambda known: known.completed)
    assert own.received.answers == record.Answers(id, 1)
    assert (own.analysis.domain, own.follow_up) == ("answer", None)
    told = [event for event in await chat.events(id) if isinstance(event, record.Answered)]
    assert told == [record.Answered(1, {"buyer.name": "Sample SARL", "due_on": "2026-12-02"}, (), answer, late=False)]
    assert set(before.missing) == {"buyer.name", "due_on"}
    assert (known.assessment.missing, known.assessment.score) == ((), 1.0)


async def test_a_refusal_is_an_answer(chat):
    async with processing(chat.core):
        id = await asked(chat, NO_BUYER + "Due date: 2026-12-02\n")
        await chat.receive("m-2", "I don't know", conversation="c-1", reply_to="question-1")
        known = await chat.settled(id, lambda known: known.completed)
    assert known.refused == ("buyer.name",)
    assert [flag.path for flag in known.assessment.flags if flag.kind == "refused"] == ["buyer.name"]


async def test_what_answers_nothing_is_a_message_of_its_own_unless_it_is_a_reply(chat):
    async with processing(chat.core):
        id = await asked(chat)
        chatter = await chat.receive("m-2", "Thank you, we will look into it", conversation="c-1")
        reply = await chat.receive("m-3", "Thank you, we will see", conversation="c-1", reply_to="question-1")
        assert (await chat.settled(chatter)).analysis.domain == "financial"
        known = await chat.settled(reply)
        asked_about = await chat.state(id)
    assert known.analysis.domain == "answer"
    assert "none of its fields was found" in known.assessment.flags[0].detail
    assert asked_about.follow_up.status == "waiting"
    assert "Answered" not in await chat.names(id)


async def test_a_late_answer_is_taken_and_marked(chat):
    async with processing(chat.core):
        id = await asked(chat)
        await chat.command("record", id, record.Expire(1))
        await chat.receive("m-2", "Buyer: Sample SARL\nDue date: 2026-12-02", conversation="c-1", reply_to="question-1")
        known = await chat.settled(id, lambda known: known.completed)
    assert known.late
    assert "late" in {flag.kind for flag in known.assessment.flags}


async def test_an_answer_delivered_again_is_told_once(chat):
    async with processing(chat.core):
        id = await asked(chat)
        for _ in range(2):
            answer = await chat.receive("m-2", "Buyer: Sample SARL\nDue date: 2026-12-02", conversation="c-1")
        await chat.settled(id, lambda known: known.completed)
        await chat.settled(answer)
    assert (await chat.names(id)).count("Answered") == 1


async def test_two_processors_do_every_stage_once(p, log_url):
    async with open_core(log_url) as other, processing(p.core), processing(other):
        ids = [await p.receive(f"m-{number}", f"{number}\n{INVOICE}") for number in range(60)]
        for id in ids:
            assert (await p.settled(id)).completed
    for id in ids:
        assert await p.names(id) == ALL


async def test_two_processors_with_the_same_record_at_once_do_every_stage_once(p, log_url):
    """The server believes the first one lost, and delivers its work to the second one."""
    held, go_on = asyncio.Event(), asyncio.Event()

    async def hold(*_):
        held.set()
        await go_on.wait()

    async with open_core(log_url) as other, processing(p.core, before=hold, ack_wait=1.0) as first:
        first._waking.hold = lambda: asyncio.sleep(0)
        id = await p.receive("m-1", INVOICE)
        await held.wait()
        async with processing(other, ack_wait=1.0):
            assert (await p.settled(id)).completed
            go_on.set()
            await until(lambda: not first._work)
    assert await p.names(id) == ALL


async def test_a_message_delivered_again_has_one_record(p):
    async with processing(p.core):
        first = await p.receive("m-1", INVOICE)
        again = await p.receive("m-1", INVOICE)
        await p.settled(first)
        assert await p.receive("m-1", "something else") == first == again
    assert await p.names(first) == ALL


async def test_a_closed_source_takes_nothing_and_what_was_taken_goes_on(p):
    id = await p.receive("m-1", INVOICE)
    await p.command("source", p.source, source.Close("moved"))
    refused = await p.deliver(Incoming(p.message("m-2", INVOICE), b"", "text/plain", {}))
    assert (refused.outcome, refused.refusal) == ("refused", "source_closed")
    async with processing(p.core):
        assert (await p.settled(id)).completed
    assert await p.events(refused.stream.id) == []


async def test_the_same_content_at_another_source_is_a_duplicate(p, log_url):
    content = f"{INVOICE}\n{uuid.uuid4()}"
    async with pipeline(log_url, f"d{uuid.uuid4().hex[:8]}") as other, processing(p.core):
        await other.open(OFFICE)
        first = await p.receive("m-1", content)
        second = await other.receive("m-9", f"  {content}  ")
        known = await other.settled(second)
        assert (await p.settled(first)).received.duplicate_of is None
    assert known.received.duplicate_of == first
    assert "duplicate" in {flag.kind for flag in known.assessment.flags}
    assert known.follow_up is None


@pytest.mark.parametrize("stage", [record.Enrich, record.Analyse, record.Score])
async def test_a_correction_while_a_stage_is_under_way_is_scored(p, stage):
    """What the stage found is kept, and its score is that of all that is known."""
    corrected = []

    async def correct(_category, id, command):
        if isinstance(command, stage) and not corrected:
            corrected.append(id)
            await p.command("record", id, record.Correct("total", 120.0))

    async with processing(p.core, before=correct):
        id = await p.receive("m-1", INVOICE)
        await p.settled(id)
    names = await p.names(id)
    assert sorted(names) == sorted([*ALL[:5], "Corrected"])
    assert names.index("Corrected") < names.index("Scored")
    known = await p.state(id)
    assert known.said["total"].value == 120.0
    assert "contradictory" in {flag.kind for flag in known.assessment.flags}


@pytest.mark.parametrize("command", [record.Correct("nonsense.path", 5.0), record.Answer({"nonsense.path": 5.0})])
async def test_only_fields_of_the_schema_can_be_told(p, command):
    async with processing(p.core):
        id = await p.receive("m-1", INVOICE)
        await p.settled(id)
    with pytest.raises(AssertionError, match=r"no field nonsense\.path; known: invoice_number"):
        await p.command("record", id, command)


async def test_small_talk_is_not_chased(log_url):
    """What is hardly of any domain, and says nothing of its fields."""
    async with pipeline(log_url, f"t{uuid.uuid4().hex[:8]}") as p, processing(p.core):
        await p.open(structs.replace(CHAT, domain=None))
        known = await p.settled(await p.receive("m-1", "Thanks! Can you call me back tomorrow about the car?"))
        asked = await p.settled(await p.receive("m-2", NO_BUYER))
    assert known.follow_up is None
    assert asked.follow_up is not None


async def test_a_correction_after_all_is_scored_anew(p):
    async with processing(p.core):
        id = await p.receive("m-1", INVOICE.replace("Total: 119.00 EUR", "Total: 120.00 EUR"))
        assert (await p.settled(id)).assessment.score < 1
        await p.command("record", id, record.Correct("total", 119.0))
        known = await p.settled(id, lambda known: known.assessment.score == 1)
    assert (await p.names(id))[-4:] == ["Corrected", "Scored", "Persisted", "Completed"]
    assert known.completed


async def test_nothing_is_kept_of_what_is_done(p):
    async with processing(p.core) as processor:
        for number in range(100):
            id = await p.receive(f"m-{number}", f"{number}\n{INVOICE}")
        await p.settled(id)
        await until(lambda: not (processor._work or processor._locks or processor._waking._open))
        assert not [stream for stream in p.core.aggregates._entries if stream.category == "record"]


async def test_what_is_too_large_for_an_event_is_parked_and_nothing_else_waits_for_it(p):
    """The reason says so, and the record is not tried for ever."""

    class Endless(Failing):
        async def _run(self, *given):
            done = await self._stages.enrich(*given)
            if given[0].received.message.external_id == "fine":
                return done
            said = (record.Said("message", "x" * 2_000_000, 2_000_000, "text"),)
            return msgspec.structs.replace(done, enrichment=msgspec.structs.replace(done.enrichment, texts=said))

    async with processing(p.core, changed=lambda stages: Endless(stages, "enrich", 0)):
        id, fine = await p.receive("m-1", INVOICE), await p.receive("fine", INVOICE + "!")
        assert (await p.settled(fine)).completed
        known = await p.settled(id)
    assert known.parked.stage == "enrich"
    assert not known.parked.retryable
