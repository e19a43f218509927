"""Events that set rules off: of our own and of other systems, on a real log."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from domain.automation import SETS_ITSELF_OFF, Known, Stumbled, automation
from domain.contexts import EVENTS
from domain.event_trigger import MOST_HOPS, EventTrigger, origin_of
from domain.organization import Registered
from eventstore.catalogue import Catalogue
from eventstore.envelope import Context, StreamId, now
from eventstore.store import EventStore, StreamWrite
from eventstore.tasks import end_tasks
from handlers.inbound import Inbox
from records.automations import events, listening
from records.automations.events import EventRule
from records.automations.listening import MOST_WAITING, Listening
from records.automations.occurrence import Looked, Occurrence
from tests.records.automations.platform import Automating, collected, until

Document = dict[str, Any]


def on(*types: str, actions: list[Document], **more: Any) -> Document:
    return {"trigger": {"type": "event", "types": list(types), **more}, "actions": actions}


def register(name: str, **stream: str) -> Document:
    return {"type": "give_command", "command": "organization.register", "data": {"name": name}, **stream}


async def foreign(automating: Automating, id: str, type: str, data: Any, **more: str) -> None:
    """As it comes from NATS or over HTTP."""
    document = {"specversion": "1.0", "id": id, "source": "/billing", "type": type, "data": data, **more}
    await Inbox(automating.core.handler).take(f"in.billing.{type}", msgspec.json.encode(document))


async def names(automating: Automating) -> list[str]:
    return [each.name for each in await automating.events("organization", "organization.registered")]


class TestAnEvent:
    async def test_of_another_system_gives_a_command_where_the_condition_holds(self, automating: Automating) -> None:
        action = register("{customer} owes ${event.data.amount} of ${event.data.lines[0].sku}")
        rule = on("payment.*", actions=[action], source="/bill*", where="event.data.amount > `100`")
        await automating.command("automation.register", "dun", rule)
        bob = {"customer": "Bob", "amount": 250, "lines": [{"sku": "x"}]}
        async with automating.running():
            await foreign(automating, "1", "payment.failed", {"customer": "Ann", "amount": 7, "lines": []})
            await foreign(automating, "2", "payment.settled", bob)
            await foreign(automating, "3", "refund.failed", {"customer": "Eve", "amount": 999})
            await automating.has_fired("dun")
        assert await names(automating) == ["Bob owes 250 of x"]
        [fired] = await automating.fired("dun")
        assert (fired.what, fired.carried[0].outcome) == ("payment.settled of /billing", "done")

    async def test_of_our_own_is_held_against_the_state_of_what_it_concerns(self, automating: Automating) -> None:
        await automating.command("organization.register", "acme", {"name": "Acme"})
        await automating.command("organization.register", "other", {"name": "Other"})
        rule = on(
            "environment.registered",
            actions=[register("${state.owner.name} has ${event.subject}: ${event.data.name}")],
            category="environment",
            state={"owner": {"category": "organization", "id": "${event.data.organization_id}"}},
            where="state.owner.name == 'Acme'",
        )
        await automating.command("automation.register", "owned", rule)
        async with automating.running():
            await automating.command("environment.register", "test", {"name": "Test", "organization_id": "other"})
            await automating.command("environment.register", "live", {"name": "Live", "organization_id": "acme"})
            await automating.has_fired("owned")
        assert await names(automating) == ["Acme", "Other", "Acme has live: Live"]

    async def test_is_dealt_with_in_its_conversation_and_what_comes_of_it_says_so(self, automating: Automating) -> None:
        rule = on("payment.failed", actions=[register("a", stream_id="due-${event.data.order}")])
        await automating.command("automation.register", "dun", rule)
        async with automating.running():
            await foreign(automating, "1", "payment.failed", {"order": 7}, correlationid="order-7")
            await automating.has_fired("dun")
        [registered] = await automating.core.store.load(StreamId("organization", "due-7"))
        [received] = await automating.core.store.read(category="inbound")
        fired = (await automating.core.store.load(StreamId("automation", "dun")))[-1].envelope
        assert (registered.envelope.actor, registered.envelope.correlationid) == (
            "automation:dun",
            origin_of("order-7").further("dun"),
        )
        assert (fired.actor, fired.correlationid) == ("automation:dun", "order-7")
        [given] = await automating.core.store.load(StreamId("command", registered.envelope.causationid or ""))
        assert given.envelope.causationid == received.envelope.id

    async def test_becomes_a_record_with_its_data(self, automating: Automating) -> None:
        rule = on("payment.failed", actions=[{"type": "process_document", "source": "orders"}])
        await automating.command("automation.register", "keep", rule)
        async with automating.running():
            await foreign(automating, "1", "payment.failed", {"order": 7, "who": {"name": "Ann"}})
            await foreign(automating, "2", "payment.failed", "nothing")
            await automating.has_fired("keep", 2)
        [received] = await automating.events("record", "record.received")
        assert received.message.data == {"order": 7, "who": {"name": "Ann"}}
        failed = (await automating.fired("keep"))[1].carried[0]
        assert (failed.outcome, failed.reason) == ("failed", "there is nothing that a record could be made of")

    async def test_of_which_the_condition_says_nothing_is_on_the_record_and_the_next_is_dealt_with(
        self, automating: Automating
    ) -> None:
        rule = on("payment.failed", actions=[register("{order}")], where="length(event.data.lines) > `1`")
        await automating.command("automation.register", "dun", rule)
        async with automating.running():
            await foreign(automating, "1", "payment.failed", {"order": "none"})
            await foreign(automating, "2", "payment.failed", {"order": "two", "lines": [1, 2]})
            await automating.has_fired("dun", 2)
        first, second = [fired.carried[0] for fired in await automating.fired("dun")]
        assert first.outcome == "failed"
        assert first.reason.startswith("where: length(event.data.lines) > `1`: ")
        assert second.outcome == "done"
        assert await names(automating) == ["two"]


class TestOnce:
    async def test_from_when_the_rule_was_registered_in_order_and_also_while_nothing_ran(
        self, automating: Automating
    ) -> None:
        await foreign(automating, "0", "payment.failed", {"order": "before"})
        await automating.command("automation.register", "dun", on("payment.failed", actions=[register("{order}")]))
        for number in range(1, 4):
            await foreign(automating, str(number), "payment.failed", {"order": f"o{number}"})
        async with automating.running():
            await automating.has_fired("dun", 3)
        for number in range(4, 6):
            await foreign(automating, str(number), "payment.failed", {"order": f"o{number}"})
            await foreign(automating, str(number), "payment.failed", {"order": "the same once more"})
        async with automating.running():
            await automating.has_fired("dun", 5)
        assert await names(automating) == ["o1", "o2", "o3", "o4", "o5"]
        assert len(await automating.fired("dun")) == 5

    async def test_killed_between_an_action_and_its_record_and_with_two_at_work(self, automating: Automating) -> None:
        await automating.command("automation.register", "dun", on("payment.failed", actions=[register("{order}")]))
        reached = asyncio.Event()

        async def never(*_: object) -> str | None:
            reached.set()
            await asyncio.Event().wait()

        async with automating.running(never):
            await foreign(automating, "1", "payment.failed", {"order": "o1"})
            await asyncio.wait_for(reached.wait(), 20)
        assert await automating.fired("dun") == []
        async with automating.running(), automating.running():
            for number in range(2, 6):
                await foreign(automating, str(number), "payment.failed", {"order": f"o{number}"})
            await automating.has_fired("dun", 5)
        assert await names(automating) == ["o1", "o2", "o3", "o4", "o5"]
        assert len(await automating.fired("dun")) == 5

    async def test_a_rule_that_nothing_concerns_does_not_begin_at_the_beginning_again(
        self, automating: Automating, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """How far it has got is on the record, a few times."""
        monkeypatch.setattr(listening, "STRIDE", 50)
        monkeypatch.setattr(events, "STRIDE", 50)
        await automating.command("automation.register", "quiet", on("payment.failed", actions=[register("x")]))
        async with automating.running():
            last = await organizations(automating, 120)

            async def reached() -> bool:
                found = await automating.events("automation", "automation.reached")
                return bool(found) and int(found[-1].cursor) > last - 50

            await until(reached)
        assert len(await automating.events("automation", "automation.reached")) <= 3

    async def test_while_a_rule_is_paused_events_wait_for_it(self, automating: Automating) -> None:
        await automating.command("automation.register", "dun", on("payment.failed", actions=[register("{order}")]))
        async with automating.running():
            await automating.command("automation.pause", "dun")
            await foreign(automating, "1", "payment.failed", {"order": "o1"})
            await automating.command("automation.resume", "dun")
            await automating.has_fired("dun")
            await automating.command("automation.remove", "dun")
            await foreign(automating, "2", "payment.failed", {"order": "o2"})
            await automating.command("automation.register", "dun", on("payment.failed", actions=[register("{order}")]))
            await foreign(automating, "3", "payment.failed", {"order": "o3"})
            await automating.has_fired("dun", 2)
        assert await names(automating) == ["o1", "o3"]


class TestManyEvents:
    async def test_one_that_is_behind_takes_the_log_in_pages_and_misses_none(self, automating: Automating) -> None:
        """More than may wait came while it was busy; the other one heard of each as it came."""
        reader = Listening(automating.core.store)
        trigger = EventTrigger(("organization.registered",))
        after = (await automating.core.store.state()).last
        task = asyncio.create_task(reader.run())
        busy = rule(automating, reader, trigger).occurrences(after)
        try:
            async with collected(rule(automating, reader, trigger).occurrences(after)) as quick:
                assert isinstance(await anext(busy), Looked)
                positions: list[int] = []
                for _ in range(4):
                    last = await organizations(automating, 700)
                    positions += range(last - 699, last + 1)
                    await until(lambda: len(quick) == len(positions))  # noqa: B023 - it is awaited here
                assert len(positions) > 2 * MOST_WAITING
                found: list[int] = []
                async for each in busy:
                    found += [int(each.cursor or 0)] if isinstance(each, Occurrence) else []
                    if len(found) == len(positions):
                        break
                assert found == positions
                assert [int(each.cursor or 0) for each in quick] == positions
        finally:
            await busy.aclose()
            await end_tasks(task)

    async def test_a_rule_that_fails_or_is_slow_holds_up_no_other(self, automating: Automating) -> None:
        slow = asyncio.Event()

        async def wait(url: str, text: str) -> bool:
            await slow.wait()
            return True

        automating.notify = wait
        alert = {"type": "send_alert", "apprise": "ALERTS", "text": "x"}
        await automating.command("automation.register", "slow", on("payment.*", actions=[alert]))
        await automating.command("automation.register", "dun", on("payment.*", actions=[register("{order}")]))
        async with automating.running():
            for number in range(5):
                await foreign(automating, str(number), "payment.failed", {"order": f"o{number}"})
            await automating.has_fired("dun", 5)
            assert await automating.fired("slow") == []
            slow.set()
            await automating.has_fired("slow", 5)

    async def test_one_that_cannot_be_read_yet_stops_only_the_rule_that_it_concerns(
        self, automating: Automating
    ) -> None:
        """A newer program wrote it. That the rule is stopped is shown for as long as it is."""

        class Audited(msgspec.Struct, frozen=True, tag="organization.audited"):
            by: str

        newer = Catalogue((*EVENTS, Audited))
        await automating.command("automation.register", "all", on("organization.*", actions=[register("all")]))
        await automating.command("automation.register", "dun", on("payment.*", actions=[register("{order}")]))
        store = await EventStore.open(automating.core.connection, newer)
        context = Context(time=now(), actor="ann", correlation_id="c")
        await store.append(StreamId("organization", "o"), 0, [Audited("ann")], context)
        async with automating.running():
            await until(lambda: _has(automating, "automation.stumbled"))
            await foreign(automating, "1", "payment.failed", {"order": "o1"})
            await automating.has_fired("dun")
            await asyncio.sleep(1.2)  # long enough for it to be tried again, in vain
        [stumbled] = await automating.events("automation", "automation.stumbled")
        assert stumbled.reason == "UnknownEvent: event type organization.audited is unknown"
        assert not await _has(automating, "automation.recovered")
        assert await automating.fired("all") == []
        await store.close()


async def _has(automating: Automating, type: str) -> bool:
    return bool(await automating.events("automation", type))


class TestLoops:
    async def test_what_a_rule_did_itself_does_not_set_it_off(self, automating: Automating) -> None:
        rule = on("organization.registered", actions=[register("child of ${event.data.name}")])
        await automating.command("automation.register", "child", rule)
        async with automating.running():
            await automating.command("organization.register", "a", {"name": "A"})
            await automating.command("organization.register", "b", {"name": "B"})
            await automating.has_fired("child", 2)
            await automating.command("organization.register", "c", {"name": "C"})
            await automating.has_fired("child", 3)
        assert sorted(await names(automating)) == ["A", "B", "C", "child of A", "child of B", "child of C"]

    async def test_rules_that_set_each_other_off_are_stopped_when_the_first_one_would_act_again(
        self, automating: Automating
    ) -> None:
        """That is a trouble of that rule, told once, which does not pass by itself; what else occurs is dealt with."""
        data = {"name": "x", "organization_id": "spark"}
        answer = {"type": "give_command", "command": "environment.register", "data": data}
        there = on("environment.registered", actions=[register("y")])
        back = on("organization.registered", actions=[answer])
        await automating.command("automation.register", "there", there)
        await automating.command("automation.register", "back", back)
        async with automating.running():
            await automating.command("organization.register", "spark", {"name": "spark"})
            await until(lambda: _has(automating, "automation.stumbled"))
            await automating.command("organization.register", "other", {"name": "other"})
            await automating.has_fired("there", 2)
            await automating.command("organization.register", "more", {"name": "more"})
            await automating.has_fired("there", 3)
        assert [each.carried[0].outcome for each in await automating.fired("back")] == ["done"] * 3
        assert sorted(await names(automating)) == ["more", "other", "spark", "y", "y", "y"]
        assert await automating.events("automation", "automation.stumbled") == [Stumbled(SETS_ITSELF_OFF)]
        assert await automating.events("automation", "automation.recovered") == []
        known = (await automating.core.aggregates.load(automation, "back", latest=True)).state
        assert isinstance(known, Known)
        assert known.trouble == SETS_ITSELF_OFF

    async def test_many_rules_in_a_row_are_stopped(self, automating: Automating) -> None:
        for number in range(MOST_HOPS + 1):
            where = f"event.data.name == '{number}'"
            rule = on("organization.registered", actions=[register(str(number + 1))], where=where)
            await automating.command("automation.register", f"rule-{number}", rule)
        async with automating.running():
            await automating.command("organization.register", "first", {"name": "0"})
            await automating.has_fired(f"rule-{MOST_HOPS}")
        [last] = await automating.fired(f"rule-{MOST_HOPS}")
        assert last.carried[0].reason == f"{MOST_HOPS} rules in a row have set each other off"
        assert len(await names(automating)) == MOST_HOPS + 1


def rule(automating: Automating, reader: Listening, trigger: EventTrigger) -> EventRule:
    return EventRule("r", trigger, automating.core.store, automating.core.aggregates, reader)


async def organizations(automating: Automating, number: int) -> int:
    """So many events at once; the position of the last one."""
    context = Context(time=now(), actor="ann", correlation_id="many")
    at = (await automating.core.store.state()).last
    registered = Registered("x", "", {})
    writes = [StreamWrite(StreamId("organization", f"o-{at}-{i}"), 0, (registered,)) for i in range(number)]
    return (await automating.core.store.append_all(writes, context)).position
