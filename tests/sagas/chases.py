"""Records that ask questions: the real log, runner and deciders, a platform on this machine, and a clock of our own."""

import asyncio
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from unittest import mock

import httpx
import msgspec

from domain import conversation, record, record_schema, saga, source
from domain.contexts import DECIDERS
from domain.message import Message, Sender
from domain.schema import Field, Schema
from domain.source import Calendar, FollowUpPolicy, Reply
from eventstore.envelope import StreamId, new_id
from eventstore.errors import LogUnavailable
from eventstore.tasks import end_tasks
from handlers import command_handler
from handlers.command import Caller, Directive
from records.channels import send
from sagacity.wiring import open_core, teller
from sagas.follow_up_steps import follow_up_saga
from sagas.rollout import RetryPolicy
from sagas.runner import SagaRunner
from tests.sagas.clock import ticking
from tests.sagas.questions import scored, up_to_the_question
from tests.sagas.receiver import receiving

ME = Caller(actor="ann")
DECIDER = {decider.category: decider for decider in DECIDERS}
RETRIES = RetryPolicy(attempts=3, first=0.02, longest=0.05)
SCHEMA = Schema("medical", (Field("age", "integer", questions={"en": "How old are you?"}), Field("name")))
THURSDAY = datetime(2030, 3, 28, 8, tzinfo=UTC)
"""Nine o'clock in Berlin, where summer time begins on Sunday, and Monday the 1st of April is no holiday."""

BERLIN = Calendar("Europe/Berlin")
REMINDER = datetime(2030, 3, 28, 16, tzinfo=UTC)
DEADLINE = datetime(2030, 4, 1, 15, tzinfo=UTC)
"""After 24 hours of work: Thursday, Friday and Monday, at five in summer."""


class Chase:
    """The record `<name>`, and whoever sent its message. `tell_before` and `tell_after` are called with what the saga
    writes; `lost` writes are refused as if the log were away."""

    def __init__(self, core, name, receiver, clock, client):
        self.core, self.name, self.receiver, self.clock, self.client = core, name, receiver, clock, client
        self.tell_before = None
        self.tell_after = None
        self.lost = 0

    async def direct(self, category, id, command):
        """The refusal, if there is one."""
        [outcome] = await self.core.handler.direct(
            [Directive(id=new_id(), category=category, stream_id=id, command=command)], ME
        )
        return outcome.refusal

    async def tell(self, command):
        refusal = await self.direct("record", self.name, command)
        assert refusal is None, refusal

    async def prepare(self, calendar=BERLIN, **policy):
        """A source, and a record that asks for `age` and `name` now."""
        await self.direct("record_schema", "medical", record_schema.Publish(SCHEMA))
        reply = Reply(api=self.receiver.url, token="TELEGRAM_TOKEN")
        rules = FollowUpPolicy(**{"remind_after": 8, "expire_after": 24, **policy})
        register = source.Register("telegram", "clinic", follow_up=rules, reply=reply)
        await self.direct("source", f"{self.name}-bot", register)
        message = Message("telegram", f"{self.name}-bot", "m1", Sender("ann", "Ann"), THURSDAY, f"{self.name}-chat")
        *commands, score = up_to_the_question(record.Chase(rules, calendar, "en"))
        for command in commands:
            if isinstance(command, record.Take):
                command = msgspec.structs.replace(command, message=message)
            await self.tell(command)
        await self.tell(score)

    async def asked(self, **policy):
        """The question is out, and its timer set."""
        await self.prepare(**policy)
        await self.step("wait")

    async def reminded(self, **policy):
        await self.asked(**policy)
        await self.clock.advance(REMINDER)
        await self.step("await")

    async def answer(self, number=1, **values):
        await self.tell(record.Answer(values or {"age": 7, "name": "Ann"}, number=number))

    async def rescored(self, gaps=()):
        """Scored anew, as the worker does after every answer."""
        known = await self.record()
        chase = known.follow_up.chase
        await self.tell(scored(gaps, chase, known.version))

    async def state(self, category, id):
        return DECIDER[category].fold([event for event, _ in await self.events(category, id)])

    async def events(self, category, id):
        stored = await self.core.store.load(StreamId(category, id), latest=True)
        return [(self.core.store.decode(event), event.time) for event in stored]

    async def record(self):
        return await self.state("record", self.name)

    async def told(self, type):
        """Events of the record, of this type."""
        return [event for event, _ in await self.events("record", self.name) if isinstance(event, type)]

    async def conversation(self):
        return await self.state("conversation", conversation.id_of(f"{self.name}-bot", f"{self.name}-chat"))

    async def match(self, number=None):
        """What a message answers that replies to our `number`-th, or to none."""
        reply_to = f"{self.name}-chat:{number}" if number is not None else None
        return conversation.match(await self.conversation(), reply_to)

    async def saga(self, number=1):
        return await self.state("saga", f"follow-up-{self.name}-{number}")

    async def step(self, step, number=1):
        """Under way with this step, and where it has a time its timer is set."""
        state = await self.until(lambda: self.saga(number), lambda state: getattr(state, "step", None) == step)
        if state.timeout:
            await self.until(self.due, lambda due: bool(due))
        return state

    async def due(self, number=1):
        """When the timers of the saga fire that are set and have not fired."""
        return self.clock.due(f"follow-up-{self.name}-{number}")

    async def ended(self, number=1):
        ended = await self.until(lambda: self.saga(number), lambda state: isinstance(state, saga.Ended))
        assert not {effect.status for effect in ended.effects} & saga.OPEN
        assert not any(question.open for question in (await self.conversation()).questions if question.number == number)
        return ended

    async def until(self, look, right, timeout=20.0):
        deadline = time.monotonic() + timeout
        while not right(seen := await look()):
            assert time.monotonic() < deadline, seen
            await asyncio.sleep(0.01)
        return seen


@asynccontextmanager
async def standing_by(url, name):
    """Nothing runs yet. Commands are given at the time of the clock, too."""
    async with (
        open_core(url) as core,
        receiving() as receiver,
        ticking(core.connection, THURSDAY) as clock,
        httpx.AsyncClient() as client,
    ):
        with mock.patch.object(command_handler, "now", clock):
            yield Chase(core, name, receiver, clock, client)


@asynccontextmanager
async def chasing(url, name):
    async with standing_by(url, name) as chase, running(chase):
        yield chase


@asynccontextmanager
async def running(chase):
    """A saga runner, until the end of the block: then its tasks are cancelled as in a crash of its process, and with
    them goes what it knew of messages under way."""
    core, tell = chase.core, teller(chase.core.handler, chase.core.store)

    async def tell_in_between(commands, ids, also, context):
        if chase.tell_before is not None:
            await chase.tell_before(also)
        if chase.lost:
            chase.lost -= 1
            raise LogUnavailable("the log is away")
        await tell(commands, ids, also, context)
        if chase.tell_after is not None:
            await chase.tell_after(also)

    secrets = {"TELEGRAM_TOKEN": "123:abc"}
    definition = follow_up_saga(core.store, core.aggregates, send, chase.client, secrets, RETRIES, clock=chase.clock)
    runner = SagaRunner(core.store, tell_in_between, [definition], ack_wait=1.0, clock=chase.clock)
    task = asyncio.create_task(runner.run())
    try:
        yield
        assert not task.done(), "the runner has ended"
    finally:
        await end_tasks(task)


def days(count):
    return timedelta(days=count)
