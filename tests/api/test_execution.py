"""`POST /execute`: what is wanted is found by name, by capability or by words, started, waited for and answered.

Nobody works on the runs here but a worker of this test's, which tells the log what an engine would.
"""

from __future__ import annotations

import asyncio

import pytest
import pytest_asyncio

from api.intents import NEAR, ranked
from api.live import EventFilter
from domain import workflow
from domain.workflow import Value
from eventstore.envelope import StreamId
from projections.offers import Offer
from tests.api.calls import client_of, fresh, now
from tests.api.conftest import serving_api
from tests.api.test_bad_input import is_problem
from tests.api.test_quality import a_database
from tests.api.test_skills import command, get
from tests.projections.workflow_stories import failed, requested, started, succeeded, tell

pytestmark = pytest.mark.asyncio(loop_scope="module")

OFFERED = {
    "code_review": ("Reads a repository and tells what is wrong with its code", ["code", "review"]),
    "secret_scan": ("Looks for passwords and keys in files", ["code", "security"]),
    "summary": ("Summarises a text in a few sentences", ["text"]),
    "http_check": ("Asks an address and tells whether it answers", ["network"]),
}
RELEASE = {"description": "Deploys a new version to production step by step", "steps": {"a": {"skill": "summary"}}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(log_url, postgres_url):
    async with a_database(postgres_url) as url, serving_api(log_url, url) as api:
        async with client_of(api) as client:
            for id, (description, capabilities) in OFFERED.items():
                of = {"version": "1", "description": description, "capabilities": capabilities}
                await command(client, "skill.register", id, specification=of)
            await command(client, "workflow_definition.publish", "release", definition=RELEASE)
            await get(api, client, "/skills/summary")
            await get(api, client, "/workflow_definitions/release")
        working = asyncio.create_task(work(api))
        yield api
        working.cancel()


async def work(api):
    """Every run of one step is dealt with by its input: `fail`, `wait` for ever, or give it back."""
    runs = EventFilter(type="workflow.started")
    async for batch in api.services.live.events(None, runs):
        for event in batch.events:
            run, begun = event.stream.id, api.services.store.decode(event)
            [(name, step), *others] = begun.steps.items()
            given = begun.input.inline
            if given == "wait" or others:
                continue
            asked = requested(run, 1, name, step.skill or "?", version="3")
            if given == "fail":
                await tell(api.services, "workflow", run, asked, failed(run, 1), workflow.RunFailed("broken", 0, 0.5))
            else:
                done = Value({"given": given})
                ended = succeeded(run, 1, given, cost=0.25), workflow.Completed(done, 0.25)
                await tell(api.services, "workflow", run, asked, *ended)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(api):
    async with client_of(api) as client:
        yield client


async def execute(client, headers=None, **body):
    return await client.post("/api/v1/execute", json=body, headers=headers)


async def done(client, **body):
    answer = await execute(client, **body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_skill_is_asked_by_its_name(api, client):
    found = await done(client, skill="summary", input={"text": "long"}, wait=30)
    assert (found["status"], found["output"], found["version"]) == ("completed", {"given": {"text": "long"}}, "3")
    assert (found["cost"], found["calls"], found["duplicate"]) == (0.25, 1, False)
    assert found["chosen"] == {"kind": "skill", "id": "summary", "by": "name", "score": None, "candidates": []}
    assert found["seconds"] >= 0
    for name, link in found["_links"].items():
        assert (await client.get(link, params={"min_position": found["position"]})).status_code == 200, name


async def test_a_workflow_is_asked_by_its_name_wherever_others_have_the_call(client):
    answer = await client.post("/execute", json={"workflow": "release", "input": 7, "version": 1})
    found = answer.json()
    assert (answer.status_code, found["output"], found["version"]) == (200, {"given": 7}, 1)
    assert found["_links"]["workflow"] == "/api/v1/workflow_definitions/release"


async def test_what_fails_is_answered_with_its_reason(client):
    found = await done(client, skill="summary", input="fail")
    assert (found["status"], found["reason"], found["output"], found["cost"]) == ("failed", "broken", None, 0.5)
    assert "output" not in found["_links"]


async def test_what_takes_longer_goes_on(api, client):
    answer = await execute(client, skill="summary", input="wait", wait=0.1)
    found = answer.json()
    assert (answer.status_code, found["status"], found["seconds"]) == (202, "running", None)
    assert answer.headers["Location"] == found["_links"]["self"]
    assert (await get(api, client, f"/workflows/{found['run_id']}"))["status"] == "running"


async def test_the_same_key_is_the_same_run(client):
    key = {"Idempotency-Key": fresh("key")}
    first = (await execute(client, key, skill="summary", input=1)).json()
    again = (await execute(client, key, skill="summary", input=1)).json()
    assert (again["run_id"], again["duplicate"], again["output"]) == (first["run_id"], True, {"given": 1})
    named = await done(client, skill="summary", id=fresh("mine"))
    assert named["run_id"].startswith("mine-")


async def test_of_those_with_a_capability_the_one_that_works_best_is_asked(api, client):
    run = fresh("r")
    good, bad = requested(run, 1, "plan", "secret_scan"), requested(run, 2, "plan", "code_review")
    await tell(api.services, "workflow", run, started(), good, bad, succeeded(run, 1), failed(run, 2))
    await get(api, client, f"/workflows/{run}")
    found = await done(client, capability="code")
    assert (found["chosen"]["id"], found["chosen"]["by"]) == ("secret_scan", "capability")
    assert [each["id"] for each in found["chosen"]["candidates"]] == ["secret_scan", "code_review"]
    assert [each["score"] for each in found["chosen"]["candidates"]] == [0.6667, 0.3333], "by the rule of succession"
    assert (await done(client, capability="code", goal="what is wrong with my code?"))["chosen"]["id"] == "code_review"


async def test_of_those_with_a_capability_only_one_that_takes_the_input_is_asked(api, client):
    takes = {"one_text": {"text": {"type": "string"}}, "texts": {"texts": {"type": "array"}}}
    for id, properties in takes.items():
        schema = {"type": "object", "required": [*properties], "properties": properties}
        of = {"version": "1", "capabilities": ["words"], "input": schema}
        await command(client, "skill.register", id, specification=of)
        await get(api, client, f"/skills/{id}")
    for goal in ({}, {"goal": "one text or texts"}):
        for id, given in {"one_text": {"text": "a"}, "texts": {"texts": ["a"]}}.items():
            found = await done(client, capability="words", input=given, **goal)
            assert found["chosen"]["id"] == id
            assert found["chosen"]["candidates"][0]["id"] == id
    refused = is_problem(await execute(client, capability="words", input={"text": 5}), 409, "nothing-near")
    assert "one_text: /text 5 is not of type 'string'" in refused["detail"]
    assert "; texts: 'texts' is a required property" in refused["detail"]


@pytest.mark.parametrize(
    ("goal", "meant"),
    [
        ("please review the code in my repo", "code_review"),
        ("are there any leaked keys or a password in here?", "secret_scan"),
        ("give me a summary", "summary"),
        ("does example.org answer at this address?", "http_check"),
        ("deploy version 2 to production", "release"),
    ],
)
async def test_a_goal_in_words_finds_what_is_meant(client, goal, meant):
    found = await done(client, goal=goal)
    assert (found["chosen"]["id"], found["chosen"]["by"]) == (meant, "goal")
    assert [each["score"] for each in found["chosen"]["candidates"]] == sorted(
        (each["score"] for each in found["chosen"]["candidates"]), reverse=True
    )
    assert found["chosen"]["kind"] == ("workflow" if meant == "release" else "skill")


@pytest.mark.parametrize("goal", ["bake a chocolate cake", "???", "the of and", "Übermorgen"])
async def test_what_is_near_nothing_is_refused(api, client, goal):
    before = await now(api)
    refused = is_problem(await execute(client, goal=goal), 409, "nothing-near")
    assert "nearest: " in refused["detail"]
    assert [event.type for event in await api.services.store.read(before) if event.type == "workflow.started"] == []


async def test_an_input_as_large_as_a_request_may_be_is_on_the_record_by_its_hash(api, client):
    """And what is larger is refused."""
    found = await done(client, skill="summary", input="x" * 900_000)
    assert found["status"] == "completed", found
    whole = await client.get(f"/api/v1/workflows/{found['run_id']}/input")
    assert whole.json() == "x" * 900_000
    started, *_ = await api.services.store.load(StreamId("workflow", found["run_id"]))
    assert len(started.raw) < 4_000
    too_large = is_problem(await execute(client, skill="summary", input="x" * 1_000_000), 413, "too-large")
    assert "1000000 bytes" in too_large["detail"]


async def test_what_is_refused_or_wrong_is_said(client):
    refused = is_problem(await execute(client, capability="flying"), 409, "nothing-near")
    assert "the capability 'flying'" in refused["detail"]
    is_problem(await execute(client, skill="nobody"), 409, "skill-not-found")
    is_problem(await execute(client, workflow="nobody"), 409, "workflow-definition-not-found")
    is_problem(await execute(client, skill="summary", version="77"), 409, "version-not-found")
    is_problem(
        await client.post("/api/v1/execute", content=b"[", headers={"Content-Type": "application/json"}),
        400,
        "malformed",
    )
    is_problem(await client.post("/api/v1/execute", json=[1]), 422, "invalid")


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({}, [""]),
        ({"skill": "a", "workflow": "b"}, [""]),
        ({"skill": "a", "capability": "b", "wait": 1_000, "budget": -1}, ["/budget", "/capability", "/wait"]),
        ({"goal": "", "version": "1", "nonsense": 1}, ["", "/goal", "/version"]),
        ({"workflow": "a", "version": "b"}, ["/version"]),
        ({"skill": "a b", "id": "x" * 90}, ["/id", "/skill"]),
    ],
)
async def test_every_fault_is_named(client, body, where):
    wrong = is_problem(await execute(client, **body), 422, "invalid")
    assert sorted({fault["where"] for fault in wrong["faults"]}) == where


async def test_words_decide_and_not_the_order():
    offers = [Offer("skill", id, " ".join([text, *words])) for id, (text, words) in OFFERED.items()]
    for offered in (offers, offers[::-1]):
        [first, *others] = ranked("review my code", offered)
        assert first.offer.id == "code_review"
        assert first.score > NEAR > max(each.score for each in others if each.offer.id != "secret_scan")
    assert ranked("anything", []) == []
    assert [each.score for each in ranked("anything", [Offer("skill", "a", "")])] == [0.0]
