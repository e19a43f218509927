"""Skills over HTTP: what they can do, who offers them, and what execution has taught of them."""

from __future__ import annotations

from datetime import timedelta

import pytest
import pytest_asyncio

from eventstore.envelope import now as moment
from skills.protocol import GONE, Heartbeat, heartbeat_subject, joint_subject
from skills.streams import create_skill_streams
from tests.api.calls import client_of, fresh, now
from tests.api.conftest import serving_api
from tests.api.test_bad_input import is_problem
from tests.api.test_quality import a_database
from tests.projections.workflow_stories import BEGAN, failed, requested, started, succeeded, tell

pytestmark = pytest.mark.asyncio(loop_scope="module")

REVIEW = {"version": "1", "description": "Reads code", "capabilities": ["code", "review"], "fallback": "metrics"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(log_url, postgres_url):
    async with a_database(postgres_url) as url, serving_api(log_url, url) as api:
        yield api


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(api):
    async with client_of(api) as client:
        yield client


async def command(client, type, stream=None, **data):
    body = {"type": type, "data": data, **({"stream": {"id": stream}} if stream else {})}
    return await client.post("/api/v1/commands", json=body)


async def skill(client, **changes):
    id = fresh("skill")
    answer = await command(client, "skill.register", id, specification={**REVIEW, **changes})
    assert answer.status_code == 201, answer.text
    return id


async def get(api, client, path, **query):
    answer = await client.get(f"/api/v1{path}", params={"min_position": await now(api), **query})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_skill_leads_to_all_that_belongs_to_it(api, client):
    id = await skill(client, fallback=await skill(client))
    row = await get(api, client, f"/skills/{id}")
    assert (row["status"], row["capabilities"], row["shares"]) == ("offered", ["code", "review"], {"1": 1})
    assert row["_links"].keys() == {*("self", "events", "workers", "figures", "invocations", "definitions", "fallback")}
    for name, link in row["_links"].items():
        assert (await client.get(link)).status_code == 200, name


async def test_what_is_offered_can_be_done(api, client):
    id = await skill(client)
    assert (await command(client, "skill.register", id, specification={**REVIEW, "version": "2"})).status_code == 201
    row = await get(api, client, f"/skills/{id}")
    assert row["_actions"].keys() == {"register", "route", "retire", "invoke"}
    assert row["_actions"]["invoke"]["body"] == {"type": "workflow.invoke", "data": {"skill": id, "input": None}}
    route = row["_actions"]["route"]
    body = {**route["body"], "data": {"shares": {"1": 9, "2": 1}}}
    assert (await client.post(route["href"], json=body)).status_code == 201
    for version in ("1", "2"):
        assert (await command(client, "skill.retire", id, version=version)).status_code == 201
    row = await get(api, client, f"/skills/{id}")
    assert (row["status"], row["capabilities"], list(row["_actions"])) == ("retired", [], ["register"])
    register = row["_actions"]["register"]
    unasked = {**register["body"], "data": {"specification": register["body"]["data"]["specification"]}}
    is_problem(await client.post(register["href"], json=unasked), 409, "version-retired")
    assert (await client.post(register["href"], json=register["body"])).status_code == 201
    assert (await get(api, client, f"/skills/{id}"))["status"] == "offered"


async def test_skills_are_found_by_what_they_can_do(api, client):
    word = fresh("w").replace("-", "_")
    id = await skill(client, capabilities=[word], description=f"Says {word} only")
    other = await skill(client, capabilities=["code", word])
    found = await get(api, client, "/skills", capability=word)
    assert {row["id"] for row in found["items"]} == {id, other}
    found = await get(api, client, "/skills", capability=word, text="says only")
    assert [row["id"] for row in found["items"]] == [id]
    wrong = await client.get("/api/v1/skills", params={"capabilities": word})
    assert "known: capability" in is_problem(wrong, 422, "invalid-query")["detail"]


async def test_workers_are_known_by_their_heartbeats(api, client):
    id, connection = await skill(client), api.services.store.connection
    nobody = await get(api, client, f"/skills/{id}/workers")
    assert (nobody["items"], nobody["alive"]) == ([], 0), "there is no stream of heartbeats yet"
    await create_skill_streams(connection)
    assert (await get(api, client, f"/skills/{id}/workers"))["items"] == [], "and nobody in it"
    jetstream = connection.jetstream()
    for version, worker, running in (("2", "b", 0), ("1", "a", 1), ("1", "a", 3)):
        beat = Heartbeat(id, version, worker, moment(), running, details={"language": "python"})
        await jetstream.publish(heartbeat_subject(beat), api_json(beat))
    await jetstream.publish(f"heartbeat.{id}.1.odd", b"not a heartbeat")
    several = [Heartbeat(name, "1", "c", moment(), 2) for name in (id, f"{id}-2")]
    await jetstream.publish(joint_subject("c"), api_json(several))
    found = await get(api, client, f"/skills/{id}/workers")
    assert [(each["version"], each["worker"], each["running"]) for each in found["items"]] == [
        ("1", "a", 3),
        ("1", "c", 2),
        ("2", "b", 0),
    ]
    assert found["alive"] == 3
    assert all(0 <= each["seconds"] < GONE for each in found["items"])


def api_json(value):
    import msgspec

    return msgspec.json.encode(value)


async def test_execution_teaches(api, client):
    id, run = await skill(client), fresh("r")
    calls = [requested(run, number, "plan", id, version="12"[number == 3]) for number in range(1, 4)]
    ended = [succeeded(run, 1, seconds=1.0, cost=0.5), succeeded(run, 2, seconds=3.0), failed(run, 3, kind="timeout")]
    await tell(api.services, "workflow", run, started(), *calls, *ended, at=BEGAN)
    found = await get(api, client, f"/skills/{id}/figures")
    total = found["total"]
    assert (total["calls"], total["succeeded"], total["failed"], total["timed_out"]) == (3, 2, 1, 1)
    assert (total["p50"], total["cost"]) == (2.0, 0.5)
    assert total["success_rate"] == pytest.approx(2 / 3)
    assert [(each["version"], each["step"], each["day"]) for each in found["items"]] == [
        ("1", "plan", "2026-03-02T00:00:00Z"),
        ("2", "plan", "2026-03-02T00:00:00Z"),
    ]
    query = {"version": "1", "step": "plan", "definition": "release", "from": "2026-03-02T00:00:00Z"}
    assert (await get(api, client, f"/skills/{id}/figures", **query))["total"]["calls"] == 2
    later = {"from": (BEGAN + timedelta(days=1)).isoformat()}
    assert (await get(api, client, f"/skills/{id}/figures", **later))["total"]["calls"] == 0
    assert (await get(api, client, f"/skills/{id}/figures", to="2026-03-02T09:00:00Z"))["total"]["calls"] == 0


async def test_what_cannot_be_answered_is_a_problem(client):
    id = await skill(client)
    wrong = await client.get(f"/api/v1/skills/{id}/figures", params={"from": "monday", "to": "?", "wait": 1})
    assert [fault["where"] for fault in is_problem(wrong, 422, "invalid-query")["faults"]] == ["from", "to"]
    is_problem(await client.get(f"/api/v1/skills/{id}/figures", params={"step": "a\0"}), 422, "invalid-query")
    for path in ("nobody/figures", "nobody/workers", "a.b/workers", "nobody"):
        is_problem(await client.get(f"/api/v1/skills/{path}"), 404, "not-found")
