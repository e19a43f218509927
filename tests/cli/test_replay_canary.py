"""`replay canary`: what would have come of the canaries in a log under another policy, and whether they add up."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from domain.analysis import Analysis
from domain.canary import Judged
from domain.deployment import Event
from domain.strategy import BlueGreen, Canary
from eventstore.connection import connect_to
from eventstore.envelope import Context, StreamId
from eventstore.store import EventStore
from sagacity.initialising import initialise_server
from sagacity.wiring import catalogue
from tests.cli.conftest import Platform, Ran, Sagacity
from tests.domain.canaries import LONG, Story, each_look, recorded, requested
from tests.eventstore.servers import Servers
from tests.sagas.story import told
from tests.sagas.test_progressive import CANARY, count

PATIENT = Analysis(latency_quantiles=(), budget=10_000, mistakes=10_000)
HASTY = Analysis(latency_quantiles=(), budget=2)
ORDINARY = Analysis(latency_quantiles=())
HASTY_FILE = "[analysis]\nbudget = 2\nlatency_quantiles = []\n"
FIRST = datetime(2026, 11, 1, tzinfo=UTC)


def fleet() -> Mapping[str, Sequence[Event]]:
    """One a day from 1 November on."""
    patient, hasty = Canary(LONG, PATIENT), Canary(LONG, HASTY)
    return {
        "bad-1": recorded(patient, each_look(canary_bad=6)).events,
        "good-2": recorded(Canary(LONG, ORDINARY), each_look(canary_bad=1)).events,
        "bad-3": recorded(hasty, each_look(canary_bad=6), stack="cart", environment="staging").events,
        "blue-4": [requested(BlueGreen())],
        "open-5": recorded(patient, each_look(canary_bad=1, looks=2)).events,
    }


async def append(url: str, deployments: Mapping[str, Sequence[Event]]) -> None:
    connection = await connect_to(url)
    store = await EventStore.open(connection, catalogue())
    for day, (id, events) in enumerate(deployments.items()):
        context = Context(time=FIRST + timedelta(days=day), actor="ann", correlation_id=id)
        await store.append(StreamId("deployment", id), 0, events, context)
    await store.close()
    await connection.close()


@pytest.fixture(scope="module")
def logged(platform: Platform) -> Platform:
    asyncio.run(append(platform.nats_url, fleet()))
    return platform


class Replay:
    def __init__(self, sagacity: Sagacity, *place: str) -> None:
        self._sagacity, self._place = sagacity, place

    def __call__(self, *options: object, policy: str | None = None) -> Ran:
        if policy is not None:
            Path("policy").write_text(policy)
            options = ("--policy", "policy", *options)
        return self._sagacity("replay", "canary", *self._place, *options)

    def json(self, *options: object, policy: str | None = None) -> Any:
        ran = self(*options, "--json", policy=policy)
        assert ran.status == 0, ran.errors
        return json.loads(ran.out)

    def names(self, *options: object) -> list[str]:
        return [each["deployment_id"] for each in self.json(*options)["canaries"]]


@pytest.fixture
def replay(logged: Platform, sagacity: Sagacity) -> Replay:
    return Replay(sagacity, "--nats", logged.nats_url)


def test_another_policy_is_compared_canary_by_canary_and_in_sum(replay: Replay) -> None:
    found = replay.json(policy=HASTY_FILE)
    by_id = {each["deployment_id"]: each for each in found["canaries"]}
    early, late = by_id["bad-1"]["replayed"], by_id["bad-1"]["recorded"]
    assert (early["outcome"], late["outcome"]) == ("roll_back", "roll_back")
    assert early["requests"] == 100 * early["look"] < late["requests"]
    assert by_id["bad-3"]["identical"] is True, "this one was judged by that policy"
    assert by_id["bad-1"]["identical"] is None
    assert by_id["open-5"]["replayed"] == {
        "outcome": "unknown", "look": 2, "requests": 200, "by": None, "why": "under way"
    }  # fmt: skip
    summary = found["summary"]
    assert (summary["canaries"], summary["same"], summary["changed"], summary["unknown"]) == (4, 3, [], 1)
    assert summary["rollbacks"] == {"at_least": 0.5, "at_most": 0.75}
    assert summary["requests"]["at_most"] is None
    bounded = replay.json("--horizon", 1000, policy=HASTY_FILE)["summary"]["requests"]
    assert bounded["at_most"] == bounded["at_least"] + 800
    assert found["policy"]["analysis"]["budget"] == 2
    assert (found["identical"], found["difference"]) == (True, None)


def test_people_read_a_table_and_what_it_comes_to(replay: Replay) -> None:
    told = replay(policy='{"threshold": {"max_error_rate": 0.02, "failure_limit": 3}}')
    lines = told.text.splitlines()
    assert told.status == 0
    assert lines[0].split("\t") == ["canary", "version", "recorded", "under the policy", "comparison"]
    assert lines[1].split("\t")[3:] == ["rolled back at look 4, 400 requests", "same"]
    assert lines[2].split("\t")[4] == "unknown: the data end with the recorded decision"
    assert lines[3].split("\t") == [
        *("bad-3", "1.1", "rolled back at look 1, 100 requests", "unknown, at least 100 requests"),
        "unknown: the data end with the recorded decision",
    ]
    assert lines[4].split("\t")[2] == "under way at look 2, at least 200 requests"
    assert lines[6] == "4 canaries: 1 decided the same, 3 unknown, 0 changed"
    assert lines[7].endswith(" recorded; under the policy at least 4100 (--horizon N bounds them from above)")
    assert lines[8] == "rolled back: 50.0 to 75.0 % recorded; under the policy 25.0 to 100.0 %"


def test_by_their_own_policies_all_verdicts_come_out_as_recorded(replay: Replay) -> None:
    told = replay()
    assert told.status == 0
    assert told.text.endswith("\nidentical: true\n")
    assert [each["identical"] for each in replay.json()["canaries"]] == [True] * 4


def test_a_part_of_the_log_is_chosen_by_request_time_stack_and_environment(replay: Replay) -> None:
    """From and up to included; a deployment belongs to the moment of its request, with all that came of it."""
    assert replay.names("--since", "2026-11-02") == ["good-2", "bad-3", "open-5"]
    assert replay.names("--since", "2026-11-02", "--until", "2026-11-03") == ["good-2", "bad-3"]
    assert replay.names("--until", "2026-11-01T12:00:00Z") == ["bad-1"]
    assert replay.json("--until", "2026-11-01")["canaries"][0]["recorded"]["outcome"] == "roll_back"
    assert replay.names("--until", 1) == ["bad-1"]
    assert replay.names("--since", 2, "--until", "2026-11-02") == ["good-2"]
    assert replay.names("--stack", "cart") == replay.names("--environment", "staging") == ["bad-3"]
    nothing = replay("--stack", "nobody's")
    assert (nothing.status, nothing.errors) == (2, "sagacity: there are no such canaries in the log\n")


def test_the_same_over_http(logged: Platform, replay: Replay, sagacity: Sagacity) -> None:
    over_http = Replay(sagacity, "--url", logged.url)
    assert over_http.json(policy=HASTY_FILE) == replay.json(policy=HASTY_FILE)
    assert over_http.names("--since", 2, "--stack", "shop") == ["good-2", "open-5"]


def test_the_log_is_as_it_was(logged: Platform, replay: Replay, sagacity: Sagacity) -> None:
    before = sagacity("events", "export", "--nats", logged.nats_url).out
    replay.json(policy=HASTY_FILE)
    assert sagacity("events", "export", "--nats", logged.nats_url).out == before


def test_a_verdict_that_does_not_add_up_fails_the_check(empty: str, sagacity: Sagacity) -> None:
    """Written into the log that way, so that its chain of hashes has nothing to say against it."""
    story = recorded(Canary(LONG, PATIENT), each_look(canary_bad=6))
    place, judged = next(each for each in enumerate(story.events) if isinstance(each[1], Judged))
    assert judged.judgement is not None
    story.events[place] = structs.replace(judged, judgement=structs.replace(judged.judgement, log_e_worse=9.0))
    asyncio.run(append(empty, {"d1": story.events}))

    checked = sagacity("replay", "canary", "--nats", empty)
    as_json = sagacity("replay", "canary", "--nats", empty, "--json")

    assert (checked.status, as_json.status) == (1, 1)
    says = "d1: verdict 1: deployment.judged: judgement.log_e_worse: recorded 9.0, now "
    assert checked.text.splitlines()[-1].startswith(f"identical: false: {says}")
    assert json.loads(as_json.out)["difference"].startswith(says)
    Path("policy").write_text(HASTY_FILE)
    assert sagacity("replay", "canary", "--nats", empty, "--policy", "policy").status == 0, "nobody asked for its own"


def test_what_follows_from_nothing_is_named(empty: str, sagacity: Sagacity) -> None:
    story = Story(Canary(LONG, PATIENT))
    judged = recorded(Canary(LONG, PATIENT), each_look(canary_bad=6)).verdict
    asyncio.run(append(empty, {"d1": [*story.events, judged]}))
    refused = sagacity("replay", "canary", "--nats", empty)
    says = f"sagacity: deployment/d1: verdict {judged.number} follows from nothing on record\n"
    assert (refused.status, refused.errors) == (2, says)


def test_canaries_that_really_took_place_add_up(own_nats: Servers, sagacity: Sagacity) -> None:
    """On the real runner and the real log, with a target in memory: one is promoted, one is rolled back."""
    asyncio.run(own_nats.ready())
    asyncio.run(_roll_out(own_nats.url))
    replay = Replay(sagacity, "--nats", own_nats.url)
    own = replay.json()
    assert own["identical"] is True
    outcomes = {each["version"]: each["recorded"]["outcome"] for each in own["canaries"]}
    assert outcomes == {"2": "promote", "4": "roll_back"}
    always = replay.json(policy="[threshold]\nmax_error_rate = 0.0")
    assert [each["replayed"]["outcome"] for each in always["canaries"]][1:] == ["roll_back"]
    assert always["canaries"][1]["replayed"]["look"] == 1


async def _roll_out(url: str) -> None:
    await initialise_server(url)
    async with told(url, "real") as story:
        for version, wrong, ends in (("2", 0.0, "deployment.completed"), ("4", 0.1, "deployment.rolled_back")):
            if version == "4":
                release = {"version": version, "release": {"program": "good"}}
                await story.command("stack.publish_version", f"{story.name}-stack", release)
            story.new = f"real-{version}"
            measure = story.target.measure
            count(story, wrong)
            await story.request(story.new, version, strategy=CANARY)
            assert await story.outcome(story.new) == ends
            story.target.measure = measure


BAD_CALLS = {
    "no file": (["--policy", "none"], "none cannot be read: No such file"),
    "no policy": (["--policy", "binary"], "binary is neither TOML nor JSON"),
    "nothing declared": (["--policy", "empty"], "empty: declares 0 policies: one [analysis] or one [threshold]"),
    "every fault": (["--policy", "wrong"], "wrong: speed: a policy is an [analysis] or a [threshold]; declares 2"),
    "a field": (["--policy", "wrong"], "; analysis/budget: 1 is less than the minimum of 2; analysis"),
    "a name": (["--policy", "wrong"], "('budgets' was unexpected); threshold/max_error_rate: 'x' is not of type"),
    "as a whole": (["--policy", "aimless"], "aimless: threshold: there is nothing to judge"),
    "an order": (["--policy", "unordered"], "unordered: analysis: latency_quantiles must increase"),
    "no moment": (["--since", "yesterday"], "'yesterday' is no position and no time such as"),
    "no horizon": (["--horizon", "0"], "0 is not in the range x>=1"),
    "a stream": (["deployment/shop-1"], "Got unexpected extra argument (deployment/shop-1)"),
    "no log": ([], ".sagacity is no data directory"),
}


@pytest.mark.parametrize(("arguments", "says"), BAD_CALLS.values(), ids=BAD_CALLS)
def test_a_bad_call_is_one_line(sagacity: Sagacity, arguments: list[str], says: str) -> None:
    Path("binary").write_bytes(b"\xff\x00")
    Path("empty").write_text("")
    Path("wrong").write_text("speed = 1\n[analysis]\nbudget = 1\nbudgets = 2\n[threshold]\nmax_error_rate = 'x'\n")
    Path("aimless").write_text("[threshold]\nfailure_limit = 3\n")
    Path("unordered").write_text('{"analysis": {"latency_quantiles": [0.9, 0.5]}}')
    called = sagacity("replay", "canary", *arguments)
    assert (called.status, called.out, called.errors.count("\n")) == (2, b"", 1)
    assert says in called.errors


def test_replay_explains_both_of_its_uses(sagacity: Sagacity) -> None:
    shown, canary = sagacity("replay", "--help"), sagacity("replay", "canary", "--help")
    assert (shown.status, canary.status) == (0, 0)
    assert shown.text.startswith("Usage: sagacity replay [OPTIONS] [STREAM]\n  or:  sagacity replay canary [OPTIONS]\n")
    assert "  canary  Judge the recorded canaries again, under another policy." in shown.text
    assert "sagacity replay deployment/shop-1-1" in shown.text
    assert canary.text.startswith("Usage: sagacity replay canary [OPTIONS]\n")
    assert "sagacity replay canary --policy stricter.toml --since 2026-10-01" in canary.text


def test_a_stream_is_told_as_before(replay: Replay, logged: Platform, sagacity: Sagacity) -> None:
    told = sagacity("replay", "deployment/open-5", "--nats", logged.nats_url, "--json").out.splitlines()
    assert json.loads(told[0])["event"]["type"] == "deployment.requested"
    assert len(told) == 2 + 2 * 2
