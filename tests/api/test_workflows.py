"""Definitions and runs of workflows over HTTP, their graphs, and the calls that they make.

Nobody works on the runs here: what happens to them is told to the log.
"""

from __future__ import annotations

import msgspec
import pytest
import pytest_asyncio

from api.workflow_graph import Edge, Graph, Node, mermaid_of
from domain import workflow
from domain.workflow import Value
from tests.api.calls import client_of, fresh, now
from tests.api.conftest import serving_api
from tests.api.test_bad_input import is_problem
from tests.api.test_quality import a_database
from tests.api.test_skills import command, get, skill
from tests.projections.workflow_stories import (
    BEGAN,
    agreed,
    failed,
    leased,
    planned,
    requested,
    started,
    succeeded,
    tell,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

DEFINITION = {
    "description": "Plans, asks and ships",
    "steps": {
        "plan": {"skill": "planner"},
        "agree": {"needs": ["plan"], "approval": {"question": "All right?"}},
        "ship": {"needs": ["agree"], "skill": "shipper", "when": "steps.plan.output > `1`"},
    },
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(log_url, postgres_url):
    async with a_database(postgres_url) as url, serving_api(log_url, url) as api:
        yield api


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(api):
    async with client_of(api) as client:
        yield client


async def definition(client, document=DEFINITION):
    id = fresh("wf")
    published = await command(client, "workflow_definition.publish", id, definition=document)
    assert published.status_code == 201, published.text
    return id


async def run_of(api, *events, id=None):
    id = id or fresh("r")
    await tell(api.services, "workflow", id, *(event(id) if callable(event) else event for event in events))
    return id


async def stuck(api, *, skill="shipper", definition="release", calls=1):
    """A run with calls that are parked."""
    id = fresh("r")
    steps = planned(id)[:4]
    asked = [requested(id, number, "ship", skill) for number in range(9, 9 + calls)]
    broken = [failed(id, number, "no answer") for number in range(9, 9 + calls)]
    parked = [workflow.Parked(f"{id}-{number}", "no answer") for number in range(9, 9 + calls)]
    begun = msgspec.structs.replace(steps[0], definition=definition)
    await tell(api.services, "workflow", id, begun, *steps[1:], *asked, *broken, *parked)
    return id


async def act(client, row, name, **data):
    action = row["_actions"][name]
    body = {**action["body"], "data": {**action["body"]["data"], **data}}
    return await client.request(action["method"], action["href"], json=body)


# --- definitions ---------------------------------------------------------------------------------------------------


async def test_a_definition_leads_to_all_that_belongs_to_it_and_can_be_started(api, client):
    id = await definition(client)
    row = await get(api, client, f"/workflow_definitions/{id}")
    assert (row["latest"], row["skills"], row["status"]) == (1, ["planner", "shipper"], "published")
    assert row["_links"].keys() == {"self", "events", "versions", "graph", "runs"}
    for name, link in row["_links"].items():
        assert (await client.get(link)).status_code == 200, name
    begun = await act(client, row, "start", input={"of": "shop"})
    assert begun.status_code == 201, begun.text
    run = await get(api, client, f"/workflows/{begun.json()['stream']['id']}")
    assert (run["definition"], run["definition_version"], run["status"]) == (id, 1, "running")
    assert (await act(client, row, "withdraw", reason="too risky")).status_code == 201
    row = await get(api, client, f"/workflow_definitions/{id}")
    assert (row["status"], list(row["_actions"])) == ("withdrawn", ["publish"])


async def test_every_version_of_a_definition_has_a_graph(api, client):
    id = await definition(client)
    second = {"steps": {"only": {"workflow": "other", "each": "input"}}}
    assert (await command(client, "workflow_definition.publish", id, definition=second)).status_code == 201
    versions = (await get(api, client, f"/workflow_definitions/{id}/versions"))["items"]
    assert [each["number"] for each in versions] == [2, 1]
    graph = await get(api, client, f"/workflow_definitions/{id}/graph", version=1)
    assert {node["id"]: (node["kind"], node["status"]) for node in graph["nodes"]} == {
        "plan": ("skill", "defined"),
        "agree": ("approval", "defined"),
        "ship": ("skill", "defined"),
    }
    assert {(edge["source"], edge["target"]) for edge in graph["edges"]} == {("plan", "agree"), ("agree", "ship")}
    latest = await get(api, client, f"/workflow_definitions/{id}/graph")
    assert (latest["version"], latest["nodes"][0]["asks"], latest["nodes"][0]["each"]) == (2, ["other"], "input")
    missing = await client.get(f"/api/v1/workflow_definitions/{id}/graph", params={"version": 3})
    assert "no version 3" in is_problem(missing, 404, "not-found")["detail"]
    is_problem(await client.get("/api/v1/workflow_definitions/nobody/graph"), 404, "not-found")


async def test_patterns_are_written_out_in_a_graph(api, client):
    chain = {"links": [{"skill": "a"}, {"skill": "b"}, {"skill": "c"}]}
    graph = await get(
        api, client, f"/workflow_definitions/{await definition(client, {'steps': {'x': {'chain': chain}}})}/graph"
    )
    assert [node["asks"] for node in graph["nodes"]] == [["a"], ["b"], ["c"]]
    assert len(graph["edges"]) == 2


# --- runs ----------------------------------------------------------------------------------------------------------


async def test_a_run_that_waits_for_a_person_says_so_and_goes_on_when_approved(api, client):
    id = fresh("r")
    await run_of(api, *agreed(id)[:-2], id=id)
    row = await get(api, client, f"/workflows/{id}")
    assert (row["status"], [each["question"] for each in row["waiting_for"]]) == ("waiting", ["All right?"])
    assert row["_actions"].keys() == {"approve", "reject", "cancel"}
    assert (await act(client, row, "approve", note="looks good")).status_code == 201
    row = await get(api, client, f"/workflows/{id}")
    assert (row["status"], row["steps"]["agree"]["status"]) == ("running", "succeeded")
    assert (await act(client, row, "cancel", reason="a mistake")).status_code == 201
    row = await get(api, client, f"/workflows/{id}")
    assert (row["cancelling"], row["_actions"]) == (True, {})


async def test_a_run_leads_to_all_that_belongs_to_it(api, client):
    id, of = fresh("r"), await definition(client)
    begun = [msgspec.structs.replace(started(of), parent=workflow.Parent("parent", "parent-1"))]
    ended = requested(id, 1, "plan", "planner"), succeeded(id, 1, 7), workflow.Completed(Value({"ok": 1}))
    await run_of(api, *begun, *ended, id=id)
    row = await get(api, client, f"/workflows/{id}")
    assert (row["status"], row["output"], row["_actions"]) == ("completed", {"inline": {"ok": 1}}, {})
    links = row["_links"]
    assert links.pop("parent") == "/api/v1/workflows/parent"
    assert links.keys() == {
        *("self", "events", "graph", "input", "output", "invocations", "children", "conversation", "definition")
    }
    for name, link in links.items():
        assert (await client.get(link)).status_code == 200, name
    assert [each["id"] for each in (await client.get(links["invocations"])).json()["items"]] == [f"{id}-1"]
    listed = await get(api, client, "/workflows", definition=of, status="completed")
    assert [each["id"] for each in listed["items"]] == [id]


async def test_a_run_is_shown_as_it_was(api, client):
    id = fresh("r")
    position = await tell(api.services, "workflow", id, *planned(id))
    await run_of(api, workflow.Cancelled("enough"), id=id)
    then = await get(api, client, f"/workflows/{id}", as_of=position)
    assert (then["status"], then["_actions"], len(then["under_way"])) == ("running", {}, 2)
    graph = await get(api, client, f"/workflows/{id}/graph", as_of=position)
    assert (graph["status"], graph["nodes"][1]["status"]) == ("running", "running")
    call = await get(api, client, f"/invocations/{id}-1", as_of=position - 4)
    assert (call["status"], call["_actions"]) == ("leased", {})
    is_problem(await client.get(f"/api/v1/invocations/{id}-1", params={"as_of": position - 6}), 404, "not-found")


async def test_what_is_large_is_there_whole(api, client):
    id, large = fresh("r"), {"text": "x" * 10_000}
    stored = msgspec.json.encode({"text": "y" * 300_000})
    by_hash = Value(hash=await api.services.blobs.put(stored), size=len(stored))
    gone = Value(hash="0" * 64, size=9)
    asked = requested(id, 1, "plan", "planner", input=gone), workflow.Succeeded(f"{id}-1", 1, Value(large))
    await run_of(api, started(input=Value(large)), *asked, workflow.Completed(by_hash), id=id)
    row = await get(api, client, f"/workflows/{id}")
    assert (row["input"], row["output"]["size"]) == ({"size": 10_011}, len(stored))
    assert await get(api, client, f"/workflows/{id}/input") == large
    assert (await client.get(row["_links"]["output"])).content == stored
    assert await get(api, client, f"/invocations/{id}-1/output") == large
    is_problem(await client.get(f"/api/v1/invocations/{id}-1/input"), 404, "not-found")
    other = await run_of(api, lambda id: requested(id, 1, "plan", "planner"), id=await run_of(api, started()))
    await get(api, client, f"/workflows/{other}")
    for path in (f"/workflows/{other}/output", f"/invocations/{other}-1/output", "/workflows/nobody/input"):
        is_problem(await client.get(f"/api/v1{path}"), 404, "not-found")


# --- graphs --------------------------------------------------------------------------------------------------------


async def test_the_graph_of_a_run_says_how_far_each_step_is(api, client):
    id = await stuck(api)
    graph = await get(api, client, f"/workflows/{id}/graph")
    assert {node["id"]: node["status"] for node in graph["nodes"]} == {
        "plan": "succeeded",
        "check": "waiting",
        "agree": "waiting",
        "ship": "parked",
    }
    [plan, check, *_] = graph["nodes"]
    assert (plan["seconds"], plan["cost"], check["compensate"]) == (0.5, 0.25, "unchecker")
    asked = fresh("r")
    await run_of(api, *agreed(asked)[:-2], id=asked)
    nodes = (await get(api, client, f"/workflows/{asked}/graph"))["nodes"]
    assert [node["status"] for node in nodes] == ["succeeded", "succeeded", "asked", "waiting"]
    assert (nodes[1]["items"], nodes[1]["succeeded"]) == (2, 2)


async def test_when_a_run_is_over_none_of_its_steps_goes_on(api, client):
    """Those that were worked on are cancelled; the others will never begin."""
    id = fresh("r")
    await run_of(api, *planned(id), workflow.Cancelled("enough"), id=id)
    graph = await get(api, client, f"/workflows/{id}/graph")
    assert [node["status"] for node in graph["nodes"]] == ["succeeded", "cancelled", "not_begun", "not_begun"]
    chart = (await client.get(f"/api/v1/workflows/{id}/graph", params={"format": "mermaid"})).text
    assert 'n2{"agree<br/>approval<br/>not begun"}:::not_begun' in chart
    assert "classDef not_begun" in chart


async def test_a_graph_names_the_fallback_that_was_asked_and_the_skill_that_had_failed(api, client):
    id = fresh("r")
    instead = requested(id, 10, "ship", "courier", instead_of=f"{id}-9"), succeeded(id, 10, 1)
    await run_of(api, *agreed(id), failed(id, 9), *instead, id=id)
    graph = await get(api, client, f"/workflows/{id}/graph")
    fallbacks = {node["id"]: node["fallbacks"] for node in graph["nodes"]}
    assert fallbacks == {"plan": {}, "check": {}, "agree": {}, "ship": {"courier": "shipper"}}
    chart = (await client.get(f"/api/v1/workflows/{id}/graph", params={"format": "mermaid"})).text
    assert 'n3["ship<br/>shipper<br/>courier instead of shipper<br/>succeeded · 2 calls, 1 failed"]' in chart


async def test_a_graph_is_a_flowchart_of_mermaid_for_whoever_accepts_it(api, client):
    id = await stuck(api)
    await get(api, client, f"/workflows/{id}")
    path = f"/api/v1/workflows/{id}/graph"
    accepted = await client.get(path, headers={"Accept": "text/vnd.mermaid"})
    assert accepted.headers["Content-Type"].startswith("text/vnd.mermaid")
    assert accepted.text == (await client.get(path, params={"format": "mermaid"})).text
    lines = accepted.text.splitlines()
    assert lines[0] == "flowchart TD"
    assert '    n0["plan<br/>planner<br/>succeeded · 0.5 s"]:::succeeded' in lines
    assert '    n2{"agree<br/>approval<br/>waiting"}:::waiting' in lines
    assert '    n3["ship<br/>shipper<br/>parked · 1 calls, 1 failed"]:::parked' in lines
    assert "    n0 --> n1" in lines
    assert {line.split()[1] for line in lines if "classDef" in line} == {"succeeded", "waiting", "parked"}
    is_problem(await client.get(path, headers={"Accept": "image/png"}), 406, "not-acceptable")
    is_problem(await client.get(path, params={"format": "dot"}), 422, "invalid-query")
    assert (await client.get(path, headers={"Accept": "*/*"})).json()["id"] == id


HOSTILE = [
    '"]; click n0 href "javascript:alert(1)"',
    "<script>alert(1)</script>",
    "a\n    n9 --> n0\r\nend",
    "%%{init: {'theme': 'x'}}%%",
    "`**bold**`",
    "#quot;#59;",
    "end\u2028subgraph\u0000\u001b[31m",
    "style n0 fill:#f00;classDef x",
    "x" * 500,
]


@pytest.mark.parametrize("text", HOSTILE)
async def test_whatever_a_step_is_called_it_is_the_text_of_its_node_and_nothing_else(text):
    nodes = [
        Node(text, "skill", "failed", [text], when=text, reason=text, fallbacks={text: text}),
        Node("b", "approval", "waiting", []),
    ]
    chart = mermaid_of(Graph(text, text, 1, "failed", nodes, [Edge("b", text, "revises", text), Edge(text, "b")]))
    lines = chart.split("\n")
    assert len(lines) == 1 + 2 + 2 + 2 + 1, "no line more than there are nodes, edges and classes"
    label = lines[1].removeprefix('    n0["').removesuffix('"]:::failed')
    assert lines[1] == f'    n0["{label}"]:::failed'
    bare = label.replace("<br/>", "")
    assert not set(bare) & set("\"<>`[]{}()%&'\\\n\r\u2028\0\x1b")
    assert all(part.partition(";")[0].isdigit() for part in bare.split("#")[1:]), "an entity code after every #"
    assert lines[4].startswith("    n0 --> n1") or lines[3].startswith('    n1 -. "')
    assert len(bare) < 4 * 80 * 7


# --- calls ---------------------------------------------------------------------------------------------------------


async def test_a_call_leads_to_all_that_belongs_to_it(api, client):
    of = await skill(client)
    id = await stuck(api, skill=of)
    row = await get(api, client, f"/invocations/{id}-9")
    assert (row["status"], row["reason"], row["step"], row["input"]) == ("parked", "no answer", "ship", {"inline": 9})
    assert row["_links"].keys() == {"self", "run", "skill", "input"}
    for name, link in row["_links"].items():
        assert (await client.get(link)).status_code == 200, name
    assert row["_actions"].keys() == {"retry", "give_up"}
    listed = await get(api, client, "/invocations", status="parked", skill=of)
    assert [each["id"] for each in listed["items"]] == [f"{id}-9"]
    assert (await act(client, row, "give_up", reason="nobody needs it")).status_code == 201
    assert (await get(api, client, f"/invocations/{id}-9"))["status"] == "failed"
    for path in ("nobody", "a.b", "nobody/input", "nobody/output"):
        is_problem(await client.get(f"/api/v1/invocations/{path}"), 404, "not-found")
    is_problem(await client.get("/api/v1/invocations", params={"status": "dead"}), 422, "invalid-query")


async def retry(api, client, **body):
    await get(api, client, "/invocations", limit=1)
    answer = await client.post("/api/v1/invocations/retry", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_dead_letters_are_retried_one_by_one(api, client):
    id = await stuck(api, calls=3)
    told = await retry(api, client, calls=[f"{id}-10"])
    assert [(each["run"], each["calls"], each["outcome"]) for each in told["items"]] == [(id, [f"{id}-10"], "accepted")]
    row = await get(api, client, f"/workflows/{id}")
    assert (row["parked"], row["under_way"][f"{id}-10"]["status"]) == (2, "retrying")
    assert (await retry(api, client, calls=[f"{id}-10"]))["items"] == [], "it is not parked any more"


async def test_dead_letters_are_retried_together(api, client):
    """One command a run where all that it has are meant, else one a call."""
    of, other, name = fresh("skill"), fresh("skill"), fresh("wf")
    first = await stuck(api, skill=of, definition=name, calls=2)
    second = await stuck(api, skill=of, definition=name)
    mixed = fresh("r")
    both = requested(mixed, 1, "plan", of), requested(mixed, 2, "ship", other), failed(mixed, 1), failed(mixed, 2)
    parked = workflow.Parked(f"{mixed}-1", "x"), workflow.Parked(f"{mixed}-2", "x")
    await run_of(api, started(name), *both, *parked, id=mixed)
    told = await retry(api, client, skill=of)
    assert {(each["run"], tuple(each["calls"])) for each in told["items"]} == {
        (first, (f"{first}-9", f"{first}-10")),
        (second, (f"{second}-9",)),
        (mixed, (f"{mixed}-1",)),
    }
    assert {each["outcome"] for each in told["items"]} == {"accepted"}
    row = await get(api, client, f"/workflows/{mixed}")
    assert (row["status"], row["parked"]) == ("paused", 1), "the call of the other skill still waits"
    told = await retry(api, client, definition=name)
    assert [each["run"] for each in told["items"]] == [mixed]
    assert (await retry(api, client, all=True))["left"] is False
    assert (await retry(api, client, all=True))["items"] == []


async def test_calls_are_told_apart_by_how_they_failed_last(api, client):
    """Also one that is tried again, or was not in vain in the end."""
    id, of = fresh("r"), fresh("skill")
    late = failed(id, 1, "no answer in time", kind="timeout")
    again = failed(id, 2, "too late", kind="timeout", retry_at=BEGAN), succeeded(id, 2, 1, attempt=2)
    other = failed(id, 3, kind="timeout", retry_at=BEGAN), failed(id, 3, attempt=2)
    asked = [requested(id, number, "plan", of) for number in (1, 2, 3, 4)]
    parked = workflow.Parked(f"{id}-1", "late"), workflow.Parked(f"{id}-3", "broken")
    await run_of(api, started(), *asked, late, *again, *other, *parked, id=id)
    listed = (await get(api, client, "/invocations", failure="timeout", skill=of))["items"]
    assert {each["id"]: (each["status"], each["failure"]) for each in listed} == {
        f"{id}-1": ("parked", "timeout"),
        f"{id}-2": ("succeeded", "timeout"),
    }
    is_problem(await client.get("/api/v1/invocations", params={"failure": "late"}), 422, "invalid-query")
    is_problem(await client.post("/api/v1/invocations/retry", json={"failure": "late"}), 422, "invalid")
    told = await retry(api, client, skill=of, failure="timeout")
    assert [each["calls"] for each in told["items"]] == [[f"{id}-1"]]


async def test_a_retry_says_what_is_meant(client):
    path = "/api/v1/invocations/retry"
    for body in ({}, {"all": True, "run": "r"}):
        assert "all: true" in is_problem(await client.post(path, json=body), 422, "invalid")["detail"]
    wrong = is_problem(await client.post(path, json={"run": "a b", "calls": [], "x": 1}), 422, "invalid")
    assert sorted(fault["where"] for fault in wrong["faults"]) == ["", "/calls", "/run"]
    is_problem(await client.post(path, content=b"{", headers={"Content-Type": "application/json"}), 400, "malformed")


async def test_a_worker_and_its_progress_are_seen(api, client):
    id = fresh("r")
    far = workflow.Progressed(f"{id}-1", 1, 0.25, "a quarter")
    await run_of(api, started(), requested(id, 1, "plan", "planner"), leased(id, 1, worker="w9"), far, id=id)
    row = await get(api, client, f"/invocations/{id}-1")
    assert (row["status"], row["worker"], row["progress"], row["note"]) == ("leased", "w9", 0.25, "a quarter")
    await now(api)
