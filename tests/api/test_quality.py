"""Quality over HTTP: what is tracked, in sum, by source and over time, and which questions are open."""

from __future__ import annotations

import uuid
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import asyncpg
import jsonschema
import pytest
import pytest_asyncio

from domain import record
from tests.api.calls import client_of, now
from tests.api.conftest import serving_api
from tests.api.test_bad_input import is_problem
from tests.projections import stories
from tests.projections.record_stories import DEADLINE, DOUBTFUL, FIELDS, asked, scored

pytestmark = pytest.mark.asyncio(loop_scope="module")

QUALITY = "/api/v1/quality"
HOUR = timedelta(hours=1)


@asynccontextmanager
async def a_database(postgres_url):
    name = f"t{uuid.uuid4().hex}"
    admin = await asyncpg.connect(postgres_url)
    try:
        await admin.execute(f"CREATE DATABASE {name}")
        yield postgres_url.rsplit("/", 1)[0] + f"/{name}"
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await admin.close()


class Told:
    """A platform on which this has happened, and the ids of the records."""

    def __init__(self, api):
        self.api = api

    async def begin(self):
        core = self.api.services
        self.complete = await scored(core, "office", "1")
        self.one_gap = await scored(core, "office", "2", "total", flags=[DOUBTFUL])
        self.empty = await scored(core, "desk", "3", *FIELDS)
        self.medical = await scored(core, "desk", "4", "party", domain="medical")
        self.over = await scored(core, "desk", "5", "total", "party")
        await asked(core, self.one_gap, "total", deadline=DEADLINE)
        await asked(core, self.empty, *FIELDS, deadline=DEADLINE - HOUR)
        await asked(core, self.medical, "party", deadline=DEADLINE)
        await asked(core, self.over, "total", "party")
        await stories.tell(core, "record", self.over, record.Expire(1))
        self.position = await now(self.api)

    async def get(self, path="", /, **query):
        """With everything that happened."""
        async with client_of(self.api) as client:
            answer = await client.get(f"{QUALITY}{path}", params={"min_position": self.position, **query})
        assert answer.status_code == 200, answer.text
        assert int(answer.headers["X-Position"]) >= self.position
        return answer.json()

    async def tracked(self, **query):
        return [item["entity_id"] for item in (await self.get(**query))["items"]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def told(log_url, postgres_url):
    async with a_database(postgres_url) as database_url, serving_api(log_url, database_url) as api:
        told = Told(api)
        await told.begin()
        yield told


async def test_what_is_tracked_is_listed_with_its_record(told):
    page = await told.get(entity_id=told.one_gap)
    (item,) = page["items"]
    assert (item["completeness_score"], item["missing_fields"]) == (0.75, ["total"])
    assert (item["quality_flags"], item["follow_up_count"]) == (["doubtful:total"], 1)
    assert item["_links"] == {"record": f"/api/v1/records/{told.one_gap}"}
    async with client_of(told.api) as client:
        assert (await client.get(item["_links"]["record"])).json()["completeness"] == 0.75


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"completeness_score_below": 0.75}, ["over", "empty"]),
        ({"completeness_score_above": 0.75}, ["complete"]),
        ({"completeness_score": 0.75, "domain": "financial"}, ["one_gap"]),
        ({"follow_up_deadline_before": DEADLINE.isoformat()}, ["empty"]),
        ({"follow_up_deadline_after": (DEADLINE - HOUR).isoformat()}, ["medical", "one_gap"]),
        ({"source": "desk", "domain": "medical"}, ["medical"]),
        ({"entity_type": "dataset"}, []),
        ({}, ["over", "medical", "empty", "one_gap", "complete"]),
    ],
    ids=lambda each: urlencode(each) or "everything" if isinstance(each, dict) else "",
)
async def test_what_is_tracked_is_filtered(told, query, expected):
    """Newest change first."""
    assert await told.tracked(**query) == [getattr(told, name) for name in expected]


async def test_what_is_tracked_comes_in_pages(told):
    first = await told.get(limit=3, source="desk")
    assert "next" not in first["_links"]
    first = await told.get(limit=2, source="desk")
    async with client_of(told.api) as client:
        rest = (await client.get(first["_links"]["next"])).json()
    ids = [item["entity_id"] for item in first["items"] + rest["items"]]
    assert ids == [told.over, told.medical, told.empty]


async def test_the_overview_is_the_sum(told):
    found = await told.get("/overview", worst=1)
    assert (found["records"], found["status"]) == (5, {"chased": 3, "completed": 1, "expired": 1})
    assert found["flags"] == {"doubtful": 1}
    shares = {share["name"]: share for share in found["domains"]}
    assert (shares["financial"]["records"], shares["financial"]["complete"]) == (4, 1)
    assert shares["financial"]["mean_completeness"] == pytest.approx((1 + 0.75 + 0 + 0.5) / 4)
    assert shares["medical"]["mean_completeness"] == 0.75
    assert found["missing"] == [{"domain": "financial", "path": "total", "records": 3}]
    assert [share["name"] for share in found["sources"]] == ["desk"], "the worst"
    follow_ups = found["follow_ups"]
    assert (follow_ups["asked"], follow_ups["open"], follow_ups["timeout"]) == (4, 3, 1)
    assert (follow_ups["responded"], follow_ups["answer_rate"]) == (0, 0.0)


async def test_the_worst_source_comes_first(told):
    items = (await told.get("/sources"))["items"]
    assert [(item["name"], item["records"], item["complete"]) for item in items] == [("desk", 3, 0), ("office", 2, 1)]
    assert items[0]["mean_score"] == pytest.approx((0 + 0.75 + 0.5) / 3)
    assert [item["name"] for item in (await told.get("/sources", limit=1))["items"]] == ["desk"]


async def test_open_questions_come_by_their_deadline_page_by_page(told):
    """Those with the same deadline keep one order; what is over is not among them."""
    found, link = [], f"{QUALITY}/follow-ups?limit=1&min_position={told.position}"
    async with client_of(told.api) as client:
        while link:
            page = (await client.get(link)).json()
            found += page["items"]
            link = page["_links"].get("next")
    assert [item["record_id"] for item in found] == [told.empty, *sorted((told.one_gap, told.medical))]
    assert {item["status"] for item in found} == {"sent"}
    assert found[0]["_links"]["record"] == f"/api/v1/records/{told.empty}"
    of_office = (await told.get("/follow-ups", source="office"))["items"]
    assert [item["record_id"] for item in of_office] == [told.one_gap]


async def test_the_questions_about_a_record_are_listed_with_it(told):
    path = f"/api/v1/records/{told.over}/follow_ups"
    async with client_of(told.api) as client:
        page = (await client.get(path, params={"min_position": told.position, "status": "timeout"})).json()
        (item,) = page["items"]
        assert (item["id"], item["missing_fields"]) == (f"{told.over}/1", ["total", "party"])
        assert (item["question_text"], item["channel"], item["deadline"]) == ("What is the total?", "email", None)
        assert page["_links"]["record"] == f"/api/v1/records/{told.over}"
        assert (await client.get(path, params={"status": "sent"})).json()["items"] == []
        is_problem(await client.get(path, params={"record_id": told.over}), 422, "invalid-query")
        is_problem(await client.get("/api/v1/records/nobody/follow_ups"), 404, "not-found")
        is_problem(await client.get(path, headers={"Accept": "text/html"}), 406, "not-acceptable")


@pytest.mark.parametrize(
    ("name", "actions"),
    [
        ("complete", {"correct", "dismiss"}),
        ("one_gap", {"answer", "correct", "dismiss", "pause"}),
        ("over", {"answer", "chase", "correct", "dismiss"}),
    ],
)
async def test_a_record_says_what_can_be_done_about_its_questions(told, name, actions):
    async with client_of(told.api) as client:
        row = (await client.get(f"/api/v1/records/{getattr(told, name)}")).json()
    assert row["_actions"].keys() == actions


async def test_trends_are_by_day_source_and_domain(told):
    today = datetime.now(UTC).date().isoformat()
    items = (await told.get("/trends"))["items"]
    assert [(item["day"][:10], item["source"], item["domain"], item["records"]) for item in items] == [
        (today, "desk", "financial", 2),
        (today, "desk", "medical", 1),
        (today, "office", "financial", 2),
    ]
    assert items[2]["mean_completeness"] == 0.875
    only = await told.get("/trends", source="desk", domain="medical", days=1)
    assert [item["mean_score"] for item in only["items"]] == [0.75]


async def test_the_same_figures_are_told_to_prometheus(told):
    await told.get("/overview")
    async with client_of(told.api) as client:
        text = (await client.get("/metrics")).text
    lines = set(text.splitlines())
    assert {
        'sagacity_records{platform="email",status="chased"} 3.0',
        'sagacity_records{platform="email",status="completed"} 1.0',
        'sagacity_records_of_domain{domain="financial"} 4.0',
        'sagacity_record_completeness{domain="medical"} 0.75',
        "sagacity_follow_ups_open 3.0",
        "sagacity_follow_up_answer_rate 0.0",
    } <= lines
    assert 'sagacity_record_processing_seconds{quantile="0.99"}' in text


@pytest.mark.parametrize(
    ("path", "query", "wrong"),
    [
        ("", {"colour": 1, "completeness_score_below": "low", "follow_up_deadline_before": "soon", "entity_type": "x"},
         {"colour", "completeness_score_below", "follow_up_deadline_before", "entity_type"}),
        ("", {"limit": 0, "min_position": -1, "wait": 31}, {"limit", "min_position", "wait"}),
        ("", {"cursor": "x"}, {"cursor"}),
        ("/overview", {"worst": 0, "wait": "long"}, {"worst", "wait"}),
        ("/sources", {"limit": 101, "min_position": "x"}, {"limit", "min_position"}),
        ("/trends", {"days": 0, "wait": -1}, {"days", "wait"}),
        ("/follow-ups", {"cursor": "bm9uZSBvZiBvdXJz"}, {"cursor"}),
        ("/follow-ups", {"limit": 501, "min_position": -1}, {"limit", "min_position"}),
    ],
)  # fmt: skip
async def test_every_parameter_that_is_wrong_is_named_at_once(told, path, query, wrong):
    async with client_of(told.api) as client:
        problem = is_problem(await client.get(f"{QUALITY}{path}", params=query), 422, "invalid-query")
    assert {fault["where"] for fault in problem["faults"]} == wrong


async def test_a_position_that_is_not_reached_in_time_is_said(told):
    query = {"min_position": told.position + 1_000, "wait": 0}
    async with client_of(told.api) as client:
        for path in ("", "/overview", "/sources", "/trends", "/follow-ups"):
            is_problem(await client.get(f"{QUALITY}{path}", params=query), 504, "position-not-reached")


async def test_the_answers_are_as_documented(told):
    async with client_of(told.api) as client:
        document = (await client.get("/schema/openapi.json")).json()
    for path in ("", "/overview", "/sources", "/trends", "/follow-ups"):
        media = document["paths"][f"{QUALITY}{path}"]["get"]["responses"]["200"]["content"]["application/json"]
        root = {**media["schema"], "components": document["components"]}
        jsonschema.Draft202012Validator(root).validate(await told.get(path))
    of = f"/api/v1/records/{told.one_gap}"
    async with client_of(told.api) as client:
        for template, path in (("{id}", of), ("{id}/follow_ups", f"{of}/follow_ups")):
            operation = document["paths"][f"/api/v1/records/{template}"]["get"]
            media = operation["responses"]["200"]["content"]["application/json"]
            root = {**media["schema"], "components": document["components"]}
            jsonschema.Draft202012Validator(root).validate((await client.get(path)).json())
