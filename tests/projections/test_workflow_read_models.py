"""What the read models say of skills, definitions, runs and calls, on a real log and a real database."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
import pytest_asyncio

from domain import skill, workflow, workflow_definition
from domain.workflow import Parent, Value
from domain.workflow_definition import (
    Adaptive,
    Approval,
    Candidate,
    Chain,
    Definition,
    Hybrid,
    Revise,
    SkillCall,
    Step,
    Swarm,
)
from eventstore.envelope import StreamId
from projections.queries import BadQuery
from projections.read_models import READ_MODELS
from projections.skill_figures import NO_EXPERIENCE, Wanted, experience_of, figures_of
from projections.workflow_definitions import named
from tests.api.calls import fresh
from tests.api.test_quality import a_database
from tests.projections.platform import equals_the_fold, projecting
from tests.projections.workflow_stories import (
    BEGAN,
    DEFINITION,
    agreed,
    any_run,
    failed,
    leased,
    planned,
    published,
    registered,
    requested,
    started,
    succeeded,
    tell,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

MODELS = tuple(m for m in READ_MODELS if m.name in ("skills", "workflow_definitions", "workflows"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def platform(log_url, postgres_url):
    async with (
        a_database(postgres_url) as url,
        projecting(log_url, url, MODELS) as platform,
        platform.running(),
    ):
        platform.store = platform.core.store
        yield platform
        await platform.caught_up()
        await equals_the_fold(platform)


@pytest.fixture
def r():
    """The id of a run that nobody else has."""
    return fresh("r")


async def rows(platform, name, table=None, **filters):
    await platform.caught_up(name)
    return (await platform.models.rows(name, table=table, filters=filters, limit=500)).items


async def ids(platform, name, **filters):
    return sorted(row.id for row in await rows(platform, name, **filters))


async def the(platform, name, id):
    await platform.caught_up(name)
    return await platform.models.row(name, id)


async def call(platform, id):
    (found,) = [row for row in await rows(platform, "workflows", "invocations") if row.id == id]
    return found


# --- skills --------------------------------------------------------------------------------------------------------


async def test_versions_of_a_skill_stand_side_by_side_with_their_shares(platform):
    await registered(platform, "reviewer", capabilities=("writing", "reviewing"), description="Reads code")
    await registered(platform, "reviewer", "2", capabilities=("writing", "latin"), description="Reads it twice")
    row = await the(platform, "skills", "reviewer")
    assert {name: each.share for name, each in row.versions.items()} == {"1": 1.0, "2": 0.0}
    assert (row.status, row.description) == ("offered", "Reads code")
    assert row.capabilities == ["latin", "reviewing", "writing"], "of all that may be asked"
    await tell(platform, "skill", "reviewer", skill.Routed({"1": 1, "2": 3}))
    row = await the(platform, "skills", "reviewer")
    assert {name: each.share for name, each in row.versions.items()} == {"1": 0.25, "2": 0.75}
    assert row.description == "Reads it twice", "that of the version with the largest share"
    await tell(platform, "skill", "reviewer", skill.Retired("2", "too slow"))
    row = await the(platform, "skills", "reviewer")
    assert {name: each.share for name, each in row.versions.items()} == {"1": 1.0, "2": 0.0}
    assert (row.versions["2"].retired, row.versions["2"].reason) == (True, "too slow")
    assert row.capabilities == ["reviewing", "writing"]
    await tell(platform, "skill", "reviewer", skill.Retired("1", ""))
    assert (await the(platform, "skills", "reviewer")).status == "retired"


async def test_an_open_circuit_is_seen_until_it_closes(platform):
    await registered(platform, "breaker", "1", skill.CircuitOpened("1", 5, BEGAN, "no answer"))
    version = (await the(platform, "skills", "breaker")).versions["1"]
    assert (version.open_until, version.failures, version.reason) == (BEGAN, 5, "no answer")
    await tell(platform, "skill", "breaker", skill.CircuitClosed("1"))
    version = (await the(platform, "skills", "breaker")).versions["1"]
    assert (version.open_until, version.failures, version.reason) == (None, 0, None)


async def test_skills_are_found_by_capability_and_by_words(platform):
    await registered(platform, "code_review", capabilities=("code", "code:python"), description="Reads a repository")
    await registered(platform, "secrets", capabilities=("code",), description="Looks for passwords in a repository")
    await registered(platform, "summary", capabilities=("text",), description="Says it in fewer words")
    assert await ids(platform, "skills", capability="code") == ["code_review", "secrets"]
    assert await ids(platform, "skills", capability="code:python") == ["code_review"]
    assert await ids(platform, "skills", capability="cod") == [], "a word, not its beginning"
    assert await ids(platform, "skills", text="repository passwords") == ["secrets"]
    assert await ids(platform, "skills", text="review") == ["code_review"], "the parts of a name are words, too"
    assert await ids(platform, "skills", text='(" or) -', capability="code") == [], "whatever people type"
    assert await ids(platform, "skills", capability="text", status="offered") == ["summary"]
    with pytest.raises(BadQuery, match="capability: must not contain NUL"):
        await rows(platform, "skills", capability="a\0")
    with pytest.raises(BadQuery, match="known: capability, created_at, status, text"):
        await rows(platform, "skills", capabilities="code")


# --- definitions ---------------------------------------------------------------------------------------------------


async def test_a_definition_has_all_its_versions(platform):
    await published(platform, "release")
    await published(platform, "release", Definition({"ship": Step(skill="shipper")}), 2)
    await tell(platform, "workflow_definition", "release", workflow_definition.Withdrawn("too risky"))
    row = await the(platform, "workflow_definitions", "release")
    assert (row.status, row.reason, row.latest, row.skills) == ("withdrawn", "too risky", 2, ["shipper"])
    versions = await rows(platform, "workflow_definitions", "definition_versions", definition_id="release")
    assert [(each.id, each.published_by) for each in versions] == [("release/2", "ann"), ("release/1", "ann")]
    assert versions[1].definition == DEFINITION
    await published(platform, "release", DEFINITION, 3)
    row = await the(platform, "workflow_definitions", "release")
    assert (row.status, row.reason, row.skills) == (
        "published",
        None,
        ["checker", "planner", "shipper", "unchecker"],
    )
    assert await ids(platform, "workflow_definitions", skill="planner") == ["release"]
    assert await ids(platform, "workflow_definitions", text="checks") == ["release"]


async def test_every_skill_that_a_definition_may_ask_for_is_named():
    of = SkillCall
    steps = {
        "chain": Step(chain=Chain((of("a"), of("b")))),
        "swarm": Step(swarm=Swarm(of("c"), of("d"), of("e"), of("f"), team=("g",))),
        "hybrid": Step(hybrid=Hybrid(of("h"), of("i"), of("j"), of("k"), of("l"), team=("m",))),
        "adaptive": Step(adaptive=Adaptive("done", (Candidate("n"),))),
        "each": Step(skill="o", each="input", team=("p",)),
        "other": Step(workflow="release"),
    }
    assert named(Definition(steps)) == (list("abcdefghijklmnop"), ["release"])


# --- runs ----------------------------------------------------------------------------------------------------------


async def test_a_run_goes_from_started_to_completed(platform, r):
    await tell(platform, "workflow", r, *planned(r))
    row = await the(platform, "workflows", r)
    assert (row.status, row.steps_done, row.steps_total, row.cost) == ("running", 1, 4, 0.25)
    assert (row.definition, row.definition_version, row.actor, row.input) == (
        "release",
        1,
        "ann",
        Value({"of": "shop"}),
    )
    assert (row.steps["plan"].status, row.steps["plan"].seconds) == ("succeeded", 0.5)
    check = row.steps["check"]
    assert (check.status, check.items, check.calls, check.succeeded) == ("running", 2, 2, 0)
    assert {id: each.status for id, each in row.under_way.items()} == {f"{r}-2": "requested", f"{r}-3": "requested"}
    await tell(platform, "workflow", r, *agreed(r)[len(planned(r)) : -2])
    row = await the(platform, "workflows", r)
    assert (row.status, row.under_way, row.steps["check"].status) == ("waiting", {}, "succeeded")
    assert [(each.step, each.question) for each in row.waiting_for] == [("agree", "All right?")]
    await tell(platform, "workflow", r, *agreed(r)[-2:], succeeded(r, 9, "out"))
    row = await the(platform, "workflows", r)
    assert (row.status, row.waiting_for, row.steps_done, row.steps["agree"].reason) == ("running", [], 4, "looks good")
    await tell(platform, "workflow", r, workflow.Completed(Value({"ok": True}), 1.25))
    row = await the(platform, "workflows", r)
    assert (row.status, row.output, row.cost) == ("completed", Value({"ok": True}), 1.25)
    assert row.ended_at >= row.started_at


async def test_a_call_that_is_parked_pauses_its_run_until_somebody_retries_it(platform, r):
    broken = failed(r, 9, "no answer", attempt=1, retry_at=BEGAN), failed(r, 9, "no answer", attempt=2)
    await tell(platform, "workflow", r, *agreed(r), *broken)
    row = await the(platform, "workflows", r)
    assert (row.status, row.steps["ship"].failed, row.steps["ship"].status) == ("running", 1, "running")
    await tell(platform, "workflow", r, workflow.Parked(f"{r}-9", "no answer"))
    row = await the(platform, "workflows", r)
    assert (row.status, row.parked, row.steps["ship"].status) == ("paused", 1, "running")
    assert await ids(platform, "workflows", status="paused") == [r]
    (dead,) = await rows(platform, "workflows", "invocations", status="parked")
    assert (dead.id, dead.reason, dead.failures, dead.ended_at) == (f"{r}-9", "no answer", 2, None)
    await tell(platform, "workflow", r, workflow.Retried(f"{r}-9"))
    assert (await the(platform, "workflows", r)).status == "running"
    assert (await call(platform, f"{r}-9")).status == "retrying"
    again = workflow.Reattempted(f"{r}-9", 3, "2", BEGAN)
    await tell(platform, "workflow", r, again)
    found = await call(platform, f"{r}-9")
    assert (found.status, found.attempt, found.skill_version) == ("requested", 3, "2")
    await tell(platform, "workflow", r, succeeded(r, 9, 1, attempt=3), workflow.Completed(Value(1), 0))
    found = await call(platform, f"{r}-9")
    assert (found.status, found.retried, found.attempts, found.failures, found.reason) == ("succeeded", 1, 3, 2, None)


async def test_a_call_that_is_given_up_has_failed_for_good(platform, r):
    parked = failed(r, 9), workflow.Parked(f"{r}-9", "broken"), workflow.GivenUp(f"{r}-9", "nobody needs it")
    await tell(platform, "workflow", r, *agreed(r), *parked, workflow.StepFailed("ship", "nobody needs it"))
    row = await the(platform, "workflows", r)
    assert (row.steps["ship"].status, row.status, row.under_way) == ("failed", "running", {})
    found = await call(platform, f"{r}-9")
    assert (found.status, found.reason) == ("failed", "nobody needs it")


async def test_a_fallback_takes_the_place_of_the_call_that_failed(platform, r):
    instead = requested(r, 10, "ship", "courier", instead_of=f"{r}-9")
    await tell(platform, "workflow", r, *agreed(r), failed(r, 9, kind="circuit_open"), instead)
    row = await the(platform, "workflows", r)
    assert (row.steps["ship"].status, row.steps["ship"].calls, list(row.under_way)) == ("running", 2, [f"{r}-10"])
    assert row.steps["ship"].fallbacks == {"courier": "shipper"}
    before, after = await call(platform, f"{r}-9"), await call(platform, f"{r}-10")
    assert (before.status, before.failure, before.fallback) == ("failed", "circuit_open", f"{r}-10")
    assert (after.status, after.instead_of, after.skill) == ("requested", f"{r}-9", "courier")
    await tell(platform, "workflow", r, succeeded(r, 10, 1))
    over = (await the(platform, "workflows", r)).steps["ship"]
    assert (over.status, over.fallbacks) == ("succeeded", {"courier": "shipper"})


async def test_what_has_succeeded_is_undone_when_the_run_fails(platform, r):
    await tell(
        platform,
        "workflow",
        r,
        *agreed(r),
        failed(r, 9, "no way"),
        workflow.StepFailed("ship", "no way"),
        workflow.CompensationStarted("no way", "failed"),
        requested(r, 10, "check", "unchecker", undo=f"{r}-2"),
        requested(r, 11, "check", "unchecker", undo=f"{r}-3"),
        succeeded(r, 10),
    )
    row = await the(platform, "workflows", r)
    assert (row.status, row.reason, row.undone, row.steps["check"].undone) == ("compensating", "no way", 1, 1)
    assert (row.steps["check"].status, row.steps["check"].calls) == ("succeeded", 2), "undoing is no more of its work"
    given_up = failed(r, 11), workflow.Parked(f"{r}-11", "broken"), workflow.GivenUp(f"{r}-11", "by hand")
    await tell(platform, "workflow", r, *given_up, workflow.RunFailed("no way", 1, 2.0))
    row = await the(platform, "workflows", r)
    assert (row.status, row.undone, row.cost, row.under_way) == ("failed", 1, 2.0, {})
    assert (await call(platform, f"{r}-2")).undone_by == f"{r}-10"
    assert (await call(platform, f"{r}-11")).status == "waived"


async def test_a_run_that_is_cancelled_says_so_at_once_and_why(platform, r):
    await tell(platform, "workflow", r, *planned(r), workflow.CancelAsked("a mistake"))
    row = await the(platform, "workflows", r)
    assert (row.status, row.cancelling, row.reason) == ("running", True, "a mistake")
    cancelled = [workflow.CallCancelled(f"{r}-{number}", "a mistake") for number in (2, 3)]
    await tell(platform, "workflow", r, *cancelled, workflow.Cancelled("a mistake", 0, 0.25))
    row = await the(platform, "workflows", r)
    assert (row.status, row.cancelling, row.reason) == ("cancelled", False, "a mistake")
    assert {each.status for each in await rows(platform, "workflows", "invocations", step="check", run=r)} == {
        "cancelled"
    }


async def test_an_answer_that_may_send_work_back_is_not_yet_the_end_of_its_step(platform, r):
    revise = Revise("steps.agree.output.approved", "draft")
    steps = {"draft": Step(skill="a"), "agree": Step(approval=Approval("?"), needs=("draft",), revise=revise)}
    asked = workflow.StepStarted("agree", question="?"), workflow.Rejected("agree", "too short")
    begun = started(steps=steps), requested(r, 1, "draft", "a"), succeeded(r, 1, "text")
    await tell(platform, "workflow", r, *begun, *asked)
    row = await the(platform, "workflows", r)
    assert (row.status, row.waiting_for, row.steps["agree"].status) == ("running", [], "running")
    assert row.steps["agree"].reason == "rejected: too short"
    await tell(platform, "workflow", r, workflow.Revised("agree", "draft", ("draft", "agree"), 2, Value("too short")))
    row = await the(platform, "workflows", r)
    assert {name: line.status for name, line in row.steps.items()} == {"draft": "waiting", "agree": "waiting"}


async def test_steps_that_are_done_again_begin_anew(platform, r):
    await tell(platform, "workflow", r, *agreed(r), succeeded(r, 9, {"accepted": False}))
    await tell(platform, "workflow", r, workflow.Revised("ship", "plan", ("plan", "check", "ship"), 2, Value("again")))
    row = await the(platform, "workflows", r)
    assert {name: (line.status, line.round, line.calls) for name, line in row.steps.items()} == {
        "plan": ("waiting", 2, 0),
        "check": ("waiting", 2, 0),
        "agree": ("succeeded", 1, 0),
        "ship": ("waiting", 2, 0),
    }


async def test_an_adaptive_step_and_one_that_was_skipped(platform, r):
    steps = {"try": Step(adaptive=Adaptive("done", (Candidate("a"),))), "never": Step(skill="b", when="`false`")}
    chosen = workflow.Chosen("try", 1, {"a": 0.5}, "a", "the best")
    skipped = workflow.StepSkipped("never", "its condition does not hold")
    asked = requested(r, 1, "try", "a"), succeeded(r, 1, 1)
    await tell(platform, "workflow", r, started(steps=steps), skipped, chosen, *asked)
    row = await the(platform, "workflows", r)
    assert (row.steps["try"].status, row.steps["try"].turns, row.steps["try"].succeeded) == ("running", 1, 1)
    assert (row.steps["never"].status, row.steps["never"].reason) == ("skipped", "its condition does not hold")
    await tell(platform, "workflow", r, workflow.StepCompleted("try", Value(1)))
    assert (await the(platform, "workflows", r)).steps_done == 2


async def test_what_is_large_is_shown_by_its_size(platform, r):
    large, stored = "x" * 5_000, Value(hash="a" * 64, size=300_000)
    begun = started(input=Value(large)), requested(r, 1, "plan", "planner", input=stored)
    await tell(platform, "workflow", r, *begun, succeeded(r, 1, large))
    assert (await the(platform, "workflows", r)).input == Value(size=5_002)
    found = await call(platform, f"{r}-1")
    assert (found.input, found.output, found.requested_in, found.ended_in) == (stored, Value(size=5_002), 2, 3)


async def test_a_call_tells_of_its_worker_and_how_far_it_is(platform, r):
    routed = workflow.Routed({"1": 3, "2": 1}, "by weight")
    asked = requested(r, 1, "plan", "planner", version="2", routed=routed)
    far = workflow.Progressed(f"{r}-1", 1, 0.5, "half")
    await tell(platform, "workflow", r, started(), asked, leased(r, 1, worker="w7"), far)
    found = await call(platform, f"{r}-1")
    assert (found.status, found.worker, found.progress, found.note) == ("leased", "w7", 0.5, "half")
    assert (found.skill_version, found.routed, found.item) == ("2", routed, None)
    assert [each.id for each in await rows(platform, "workflows", "invocations", worker="w7")] == [f"{r}-1"]


async def test_runs_are_found_by_what_they_are(platform, r):
    of, other = f"{r}-a", f"{r}-b"
    await tell(platform, "workflow", of, started(r), at=BEGAN)
    await tell(
        platform, "workflow", other, started("other", parent=Parent(of, f"{of}-7")), at=BEGAN + timedelta(days=1)
    )
    assert await ids(platform, "workflows", definition=r) == [of]
    assert await ids(platform, "workflows", parent=of) == [other]
    between = {"started_at_after": "2026-03-02T10:00:00Z", "started_at_before": "2026-03-04T00:00:00Z"}
    assert await ids(platform, "workflows", definition="other", **between) == [other]
    assert await ids(platform, "workflows", definition=r, **between) == []
    assert (await the(platform, "workflows", other)).parent_call == f"{of}-7"


async def test_a_run_as_it_was(platform, r):
    position = await tell(platform, "workflow", r, *planned(r))
    await tell(platform, "workflow", r, workflow.Cancelled("enough"))
    stream = StreamId("workflow", r)
    then = await platform.models.row_as_of("workflows", stream, position)
    assert (then.status, sorted(then.under_way)) == ("running", [f"{r}-2", f"{r}-3"])
    now = await platform.models.row_as_of("workflows", stream, await platform.head())
    assert now == await the(platform, "workflows", r)


async def test_whatever_happens_at_the_same_time_the_tables_are_the_fold_of_the_log(platform, r):
    chosen = random.Random(6)
    runs = [(f"any{number}", any_run(chosen, f"any{number}")) for number in range(12)]
    while runs:
        id, events = chosen.choice(runs)
        part = chosen.randint(1, 6)
        await tell(platform, "workflow", id, *events[:part])
        runs = [(each, left[part:] if each == id else left) for each, left in runs]
        runs = [(each, left) for each, left in runs if left]
    found = await rows(platform, "workflows", "invocations")
    assert sum(row.skill in ("k0", "k1", "k2", "k3") for row in found) == 48


# --- learning ------------------------------------------------------------------------------------------------------


async def test_execution_teaches_how_often_a_skill_works_how_long_it_takes_and_what_it_costs(platform, r):
    steps = {"one": Step(skill=r), "two": Step(skill=r)}
    for day in range(2):
        run, events = f"{r}-{day}", [started(f"d{day}", steps)]
        for number in range(1, 11):
            events.append(requested(run, number, "one" if number < 10 else "two", r, version="2" if day else "1"))
            if number == 9:
                events += [
                    failed(run, 9, kind="timeout", retry_at=BEGAN, seconds=5.0, cost=1.0),
                    failed(run, 9, seconds=1),
                ]
            elif number == 8:
                events += [failed(run, 8, retry_at=BEGAN), succeeded(run, 8, attempt=2, seconds=8.0)]
            else:
                events.append(succeeded(run, number, seconds=float(number), cost=0.5))
        undone = [requested(run, 11, "one", r, undo=f"{run}-1"), succeeded(run, 11, seconds=99.0)]
        await tell(platform, "workflow", run, *events, *undone, at=BEGAN + timedelta(days=day))
    await platform.caught_up()
    total, parts = await figures_of(platform.pool, r, Wanted(), 100)
    assert (total.calls, total.succeeded, total.failed, total.timed_out, total.retried) == (20, 18, 2, 2, 4)
    assert (total.success_rate, total.cost) == (0.9, 10.0)
    assert total.seconds == 2 * (1 + 2 + 3 + 4 + 5 + 6 + 7 + 8 + 10 + 6)
    assert [(each.version, each.definition, each.step, each.day.day, each.calls) for each in parts] == [
        ("2", "d1", "one", 3, 9),
        ("2", "d1", "two", 3, 1),
        ("1", "d0", "one", 2, 9),
        ("1", "d0", "two", 2, 1),
    ]
    assert (parts[0].p50, parts[0].p95) == (4.5, pytest.approx(7.65)), "of 1 to 8 s, between the nearest two"
    first, _ = await figures_of(platform.pool, r, Wanted("1", step="one", since=BEGAN, until=BEGAN + timedelta(1)), 9)
    assert (first.calls, first.definition, first.day) == (9, None, None)
    nothing, none = await figures_of(platform.pool, r, Wanted(definition="d7"), 9)
    assert (nothing.calls, nothing.success_rate, nothing.p50, list(none)) == (0, None, None, [])


async def test_experience_is_of_the_last_month(platform, r):
    old = requested(f"{r}-old", 1, "plan", f"{r}-x"), succeeded(f"{r}-old", 1)
    await tell(platform, "workflow", f"{r}-old", started(), *old, at=BEGAN - timedelta(999))
    calls = [requested(r, number, "plan", f"{r}-{'xxy'[number]}") for number in range(3)]
    ended = succeeded(r, 0, seconds=1.0), succeeded(r, 1, seconds=2.0), failed(r, 2)
    await tell(platform, "workflow", r, started(), *calls, *ended)
    await platform.caught_up()
    found = await experience_of(platform.pool, [f"{r}-x", f"{r}-y", "nobody"])
    assert found == {f"{r}-x": (2, 0, 1.5), f"{r}-y": (0, 1, None)}
    assert (found[f"{r}-x"].trust, found[f"{r}-y"].trust, NO_EXPERIENCE.trust) == (0.75, 1 / 3, 0.5)
