"""`replay drift`: whether recorded drift adds up, and what another policy would have said of the same rows."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from msgspec import structs

from domain import model, monitor
from domain.gate import Pairs, judge
from domain.model_policy import ModelPolicy
from domain.pipeline import Pipeline
from eventstore.blobs import BUCKET, OBSERVED
from eventstore.connection import connect_to
from eventstore.envelope import Context, StreamId, now
from sagacity.initialising import initialise_server
from tests.cli.conftest import Ran, Sagacity
from tests.eventstore.servers import Servers
from tests.models.watched import FEATURES, drifted, observer, watched

STRICT = '{"monitoring": {"budget": {"false_alarms": 1, "days": 3650}}}'


class Logged(NamedTuple):
    url: str
    drifted: str
    quiet: str


async def quiet(url: str) -> str:
    async with watched(url) as m, observer(url):
        await m.in_use()
        await m.use(40)
        await m.observed(40, 40)
        return m.id


async def unused(url: str) -> None:
    async with watched(url) as m:
        await m.register()


@pytest.fixture(scope="module")
def logged() -> Iterator[Logged]:
    servers = Servers(1)
    try:
        servers.start()
        asyncio.run(servers.ready())
        asyncio.run(initialise_server(servers.url))
        asyncio.run(unused(servers.url))
        yield Logged(servers.url, asyncio.run(drifted(servers.url)), asyncio.run(quiet(servers.url)))
    finally:
        servers.stop()


class Replay:
    def __init__(self, sagacity: Sagacity, url: str) -> None:
        self._sagacity, self._url = sagacity, url

    def __call__(self, *options: object, policy: str | None = None) -> Ran:
        if policy is not None:
            Path("policy.json").write_text(policy)
            options = ("--policy", "policy.json", *options)
        return self._sagacity("replay", "drift", "--nats", self._url, *options)

    def json(self, *options: object, policy: str | None = None) -> Any:
        ran = self(*options, "--json", policy=policy)
        assert ran.status == 0, ran.errors
        return json.loads(ran.out)


@pytest.fixture
def replay(logged: Logged, sagacity: Sagacity) -> Replay:
    return Replay(sagacity, logged.url)


def test_everything_comes_out_as_recorded(replay: Replay, logged: Logged) -> None:
    """Also on a second look: nothing has changed in the log."""
    told, again = replay(), replay.json()
    lines = [line.split("\t") for line in told.text.splitlines()]
    assert told.status == 0
    assert lines[0] == ["model", "observations", "verdicts", "comparisons", "identical"]
    assert [(line[0], line[4]) for line in lines[1:3]] == [(logged.drifted, "true"), (logged.quiet, "true")]
    assert int(lines[1][2]) > 10
    assert lines[2][1:4] == ["2", "0", "0"]
    assert lines[4:] == [["identical: true"]]
    assert (again["identical"], again["difference"], again["policy"]) == (True, None, None)
    assert [each["changes"]["recorded"] for each in again["models"]] == [int(lines[1][2]), 0]


def test_another_policy_is_compared_verdict_by_verdict(replay: Replay, logged: Logged) -> None:
    found = replay.json(policy=STRICT)
    mine = next(each for each in found["models"] if each["model_id"] == logged.drifted)["changes"]
    moved = [change for change in mine["changes"] if change["what"] == "moves"]
    assert moved[0]["kind"] == "errors"
    assert moved[0]["replayed_at"] > moved[0]["recorded_at"]
    assert (found["identical"], found["policy"]["monitoring"]["budget"]["days"]) == (None, 3650)

    lines = [line.split("\t") for line in replay(policy=STRICT).text.splitlines()]
    assert lines[0] == ["model", "verdict", "recorded", "under the policy", "comparison"]
    assert lines[1] == [
        logged.drifted,
        "version 1: errors (e-detector)",
        f"at row {moved[0]['recorded_at']}",
        f"at row {moved[0]['replayed_at']}",
        "moves",
    ]
    (compared,) = mine["comparisons"]
    rows = f"after {compared['recorded_rows']} rows"
    assert [
        logged.drifted,
        f"shadow of {compared['experiment_id']}",
        f"better {rows}",
        f"better {rows}",
        "same",
    ] in lines
    counts = {what: sum(change["what"] == what for change in mine["changes"]) for what in ("appears", "vanishes")}
    assert lines[-1] == [
        f"{mine['recorded']} verdicts of drift: {mine['same']} the same, {mine['undecidable']} undecidable; "
        f"{counts['appears']} appear, {counts['vanishes']} vanish, {len(moved)} move"
    ]


def test_other_odds_leave_a_comparison_and_what_follows_undecidable(replay: Replay, logged: Logged) -> None:
    told = replay("--model", logged.drifted, policy='{"gate": {"odds": 1000000}}').text.splitlines()
    assert told[1].split("\t")[3].startswith("unknown, undecided after ")
    assert told[1].split("\t")[4] == "undecidable"
    events, _ = asyncio.run(recorded(logged.url, logged.drifted))
    later = sum(isinstance(event, monitor.Judged) and event.version != "1" for event in events)
    assert later > 0
    assert f" {later} undecidable; 0 appear, 0 vanish, 0 move" in told[-1]


def test_one_model_and_what_began_since(replay: Replay, logged: Logged) -> None:
    only = replay.json("--model", logged.quiet)["models"]
    assert [each["model_id"] for each in only] == [logged.quiet]
    whole = replay.json("--model", logged.drifted)["models"][0]["observations"]
    began = asyncio.run(beginnings(logged))
    later = replay.json("--model", logged.drifted, "--since", began[1].position)["models"][0]
    assert 0 < later["observations"] < whole
    by_time = replay.json("--model", logged.drifted, "--since", began[1].time.isoformat())["models"][0]
    assert by_time == later
    assert replay.json("--model", logged.drifted, "--since", began[0].position)["models"][0]["observations"] == whole
    after = replay("--model", logged.drifted, "--since", began[1].position + 1)
    assert (after.status, after.errors) == (2, "sagacity: there are no such observations of models in the log\n")


async def beginnings(logged: Logged) -> list[Any]:
    async with watched(logged.url) as m:
        events = await m.core.store.load(StreamId("monitor", logged.drifted), latest=True)
        return [event for event in events if event.type == "monitor.began"]


class Record(NamedTuple):
    """What is recorded of a model, with what is stored of it."""

    events: list[monitor.Event]
    stored: list[bytes]


async def recorded(url: str, id: str) -> Record:
    async with watched(url) as m:
        m.id = id
        events = await m.events()
        contents = {getattr(event, "content", None) or getattr(event, "reference", None) for event in events}
        return Record(events, [await m.blobs.get(each) for each in contents if each])


async def write(url: str, id: str, record: Record) -> None:
    async with watched(url) as m:
        context = Context(time=now(), actor="ann", correlation_id=id)
        registered = model.Registered("M", FEATURES, "y", None, "", Pipeline(), ModelPolicy())
        await m.core.store.append(StreamId("model", id), 0, [registered], context)
        await m.core.store.append(StreamId("monitor", id), 0, record.events, context)
        for content in record.stored:
            await m.blobs.put(content)


def with_another_judgement(event: monitor.Event) -> monitor.Event:
    if not isinstance(event, monitor.ComparisonJudged):
        return event
    return structs.replace(event, compared=structs.replace(event.compared, judgement=judge(Pairs(), 20)))


def test_a_verdict_that_does_not_add_up_fails_the_check(logged: Logged, empty: str, sagacity: Sagacity) -> None:
    """Written into the log that way, so that its chain of hashes has nothing to say against it."""
    record = asyncio.run(recorded(logged.url, logged.drifted))
    forged = Record([with_another_judgement(event) for event in record.events], record.stored)
    asyncio.run(write(empty, "forged", forged))
    replay = Replay(sagacity, empty)
    checked, as_json = replay(), replay("--json")
    assert (checked.status, as_json.status) == (1, 1)
    says = "forged: monitor.comparison_judged: compared.judgement."
    assert checked.text.splitlines()[-1].startswith(f"identical: false: {says}")
    assert json.loads(as_json.out)["difference"].startswith(says)
    assert replay(policy=STRICT).status == 0, "nobody asked whether it adds up"


def test_what_follows_from_nothing_is_named(logged: Logged, empty: str, sagacity: Sagacity) -> None:
    events, _ = asyncio.run(recorded(logged.url, logged.drifted))
    judged = next(event for event in events if isinstance(event, monitor.Judged))
    asyncio.run(write(empty, "unfounded", Record([judged], [])))
    refused = Replay(sagacity, empty)()
    says = "sagacity: monitor/unfounded: verdict 1 follows from nothing on record\n"
    assert (refused.status, refused.errors) == (2, says)


async def remove(url: str, bucket: str, content: str) -> None:
    connection = await connect_to(url)
    await (await connection.jetstream().object_store(bucket)).delete(content)
    await connection.close()


async def of_two_versions(url: str) -> str:
    async with watched(url) as m, observer(url):
        await m.in_use()
        for total in (40, 80):
            await m.use(40)
            await m.observed(total, total)
        await m.promote(await m.train())
        await m.until(lambda state: state.beginnings == 2)
        await m.use(40)
        await m.observed(120, 120)
        return m.id


def test_what_cannot_be_judged_any_more_is_named_and_the_rest_is_judged(empty: str, sagacity: Sagacity) -> None:
    """Rows of the first beginning are gone, then all rows, then a reference, which should have been kept."""
    id = asyncio.run(of_two_versions(empty))
    replay, events = Replay(sagacity, empty), asyncio.run(recorded(empty, id)).events
    inputs = [event for event in events if isinstance(event, monitor.InputsObserved)]
    last = sum(event.version == "1" for event in inputs)
    whole = replay.json()["models"][0]["observations"]

    asyncio.run(remove(empty, OBSERVED, str(inputs[1].content)))
    says = f"observations 2 to {last} of the inputs of version 1 are not judged: rows of number 2 are kept no longer"
    told, policy = replay("--json"), replay("--json", policy=STRICT)
    assert (told.status, told.errors, policy.errors) == (0, f"sagacity: monitor/{id}: {says}\n", told.errors)
    judged = json.loads(told.out)["models"][0]
    assert (judged["identical"], judged["observations"]) == (True, whole - (last - 1))

    for event in events:
        if isinstance(event, monitor.InputsObserved | monitor.OutcomesObserved) and event is not inputs[1]:
            asyncio.run(remove(empty, OBSERVED, str(event.content)))
    refused = replay()
    assert (refused.status, refused.errors.count("\n"), refused.errors.count("are not judged")) == (2, 1, 4)

    began = next(event for event in events if isinstance(event, monitor.Began))
    asyncio.run(remove(empty, BUCKET, began.reference))
    refused = replay()
    assert refused.status == 2
    assert refused.errors == f"sagacity: monitor/{id}: what is stored under {began.reference} is missing\n"


BAD_CALLS = {
    "no file": (["--policy", "none"], "none cannot be read: No such file"),
    "no policy": (["--policy", "binary"], "binary is no policy: "),
    "nothing declared": (["--policy", "empty"], "empty: says nothing else than the record"),
    "a name": (["--policy", "named"], "named is no policy: Object contains unknown field `analysis`"),
    "a field": (["--policy", "field"], "field is no policy: Object contains unknown field `windows`"),
    "a value": (["--policy", "value"], "value is no policy: Expected `int` >= 50 - at `$.window`"),
    "no moment": (["--since", "yesterday"], "'yesterday' is no position and no time such as"),
    "no id": (["--model", "no/id"], "'no/id' is no id of a model"),
    "an argument": (["model/m"], "Got unexpected extra argument (model/m)"),
}


@pytest.mark.parametrize(("arguments", "says"), BAD_CALLS.values(), ids=BAD_CALLS)
def test_a_bad_call_is_one_line(replay: Replay, arguments: list[str], says: str) -> None:
    Path("binary").write_bytes(b"\xff\x00")
    Path("empty").write_text("{}")
    Path("named").write_text('{"analysis": {}}')
    Path("field").write_text('{"monitoring": {"windows": 3}}')
    Path("value").write_text('{"monitoring": {"window": 3}}')
    called = replay(*arguments)
    assert (called.status, called.out, called.errors.count("\n")) == (2, b"", 1)
    assert says in called.errors


def test_replay_explains_itself(sagacity: Sagacity) -> None:
    shown, drift = sagacity("replay", "--help"), sagacity("replay", "drift", "--help")
    assert (shown.status, drift.status) == (0, 0)
    assert "  or:  sagacity replay drift [OPTIONS]\n" in shown.text
    assert "  drift   Judge the recorded drift of models again, under another policy." in shown.text
    assert drift.text.startswith("Usage: sagacity replay drift [OPTIONS]\n")
    assert "sagacity replay drift --policy patient.json --model churn" in drift.text
