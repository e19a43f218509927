"""Features over HTTP: what was true when, as it was known then; one by one and for whole training sets."""

import pytest_asyncio

from tests.api.calls import client_of, now, read
from tests.projections import stories


@pytest_asyncio.fixture
async def client(api):
    async with client_of(api) as client:
        yield client


UNANSWERABLE = [
    ("/features/values?entity_id=ann&features=spend,nothing,..&at=2026-11-20T12:00:00Z", 422),
    ("/features/values?entity_id=ann&features=spend&at=yesterday", 422),
    ("/features/values?entity_id=ann&features=spend&at=0001-01-01T00:00:00%2B14:00", 422),
    ("/features/values?entity_id=ann&features=spend&known_at=999999999&wait=0", 504),
    ("/features/spend/upstream?downstream_id=y", 422),
]


async def test_what_cannot_be_answered_is_a_problem(api, client):
    await stories.features(api.services)
    await read(api, client, "/features/spend")
    for path, status in UNANSWERABLE:
        answer = await client.get(f"/api/v1{path}")
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), path
        if "nothing" in path:
            said = [fault["what"] for fault in answer.json()["faults"]]
            assert said == ["there is no feature 'nothing'", "there is no feature '..'"]


async def test_a_feature_says_what_it_is_made_from_and_what_is_made_from_it(api, client):
    await stories.features(api.services)
    upstream = await read(api, client, "/features/average/upstream")
    assert {each["upstream_id"] for each in upstream["items"]} == {"spend", "orders"}
    (made,) = (await read(api, client, "/features/spend/downstream"))["items"]
    assert (made["downstream_id"], made["transformation_type"]) == ("average", "ratio")
    (version,) = (await read(api, client, "/features/average/versions"))["items"]
    assert version["data_location"] == "s3://lake/average"
    row = await read(api, client, "/features/average")
    for path in row["_links"].values():
        assert (await client.get(path)).status_code == 200, path


async def a_week(services):
    """What ann spent: known late, and corrected once."""
    await stories.features(services)
    await stories.record(services, "ann", "2026-11-16T12:00:00Z", spend=10, orders=1)
    await stories.record(services, "ann", "2026-11-18T12:00:00Z", spend=30)
    late = await stories.record(services, "ann", "2026-11-17T12:00:00Z", spend=20)
    corrected = await stories.record(services, "ann", "2026-11-18T12:00:00Z", spend=33)
    return late.events[0].position, corrected.events[0].position


async def spend(api, client, at, **known):
    query = {"entity_id": "ann", "features": "spend", "at": at}
    (item,) = (await read(api, client, "/features/values", **query, **known))["items"]
    return item["feature_value"]


async def test_a_value_is_the_latest_that_was_true_then_and_known_by_then(api, client):
    late, corrected = await a_week(api.services)
    assert await spend(api, client, "2026-11-16T11:59:59Z") is None
    assert await spend(api, client, "2026-11-16T12:00:00Z") == 10
    assert await spend(api, client, "2026-11-18T11:59:59Z") == 20
    assert await spend(api, client, "2026-11-18T11:59:59Z", known_at=late - 1) == 10
    assert await spend(api, client, "2026-11-21T00:00:00Z") == 33
    assert await spend(api, client, "2026-11-21T00:00:00Z", known_at=corrected - 1) == 30


async def test_a_value_says_how_old_it_is_and_whether_that_is_too_old(api, client):
    await a_week(api.services)
    query = {"entity_id": "ann", "features": "spend,average", "at": "2026-11-18T13:00:00Z"}
    answer = await read(api, client, "/features/values", **query)
    fresh, missing = answer["items"]
    assert (fresh["age_seconds"], fresh["stale"], fresh["source"], fresh["quality_score"]) == (
        3600,
        False,
        "billing",
        0.9,
    )
    assert (missing["feature_value"], missing["timestamp"], missing["stale"]) == (None, None, None)
    query["at"] = "2026-11-18T13:00:01Z"
    assert (await read(api, client, "/features/values", **query))["items"][0]["stale"]


async def test_the_link_to_an_answer_gives_the_same_answer_for_ever(api, client):
    await a_week(api.services)
    query = {"entity_id": "ann", "features": "spend"}
    answer = await read(api, client, "/features/values", **query)
    await stories.record(api.services, "ann", "2026-11-18T12:00:00Z", spend=99)
    await stories.accepted(api.services, "feature.describe", "spend", {"freshness_requirements": {}})
    assert (await read(api, client, "/features/values", **query))["items"][0]["feature_value"] == 99
    assert (await client.get(answer["_links"]["self"])).json()["items"] == answer["items"]


async def post(client, **body):
    return await client.post("/api/v1/features/values/batch", json=body)


async def test_a_training_set_has_nothing_from_the_future(api, client):
    late, _ = await a_week(api.services)
    await stories.record(api.services, "bob", "2026-11-17T12:00:00Z", spend=7)
    rows = [
        {"entity_id": who, "at": f"2026-11-{day}T13:00:00Z"} for who, day in (("ann", 16), ("bob", 16), ("ann", 17))
    ]
    client.params = {"min_position": await now(api)}
    answer = (await post(client, features=["spend", "orders"], rows=rows)).json()
    assert [row["values"] for row in answer["rows"]] == [
        {"spend": 10, "orders": 1},
        {"spend": None, "orders": None},
        {"spend": 20, "orders": 1},
    ]
    assert answer["rows"][2]["ages"] == {"spend": 3_600, "orders": 25 * 3_600}
    assert [row["stale"] for row in answer["rows"]] == [[], [], ["orders"]]
    before = (await post(client, features=["spend"], rows=rows, known_at=late - 1)).json()
    assert before["rows"][2]["values"] == {"spend": 10}
    assert before["known_at"] == late - 1
    together = (await post(client, features=["spend"], entities=["ann", "bob"], at="2026-11-20T00:00:00Z")).json()
    assert [row["values"]["spend"] for row in together["rows"]] == [33, 7]


FAULTY = [
    ({"features": [], "rows": [{"entity_id": "a b", "at": "noon"}], "x": 1}, {"/features", "/rows/0/entity_id", ""}),
    ({"features": ["spend"]}, {""}),
    ({"features": ["spend"], "entities": ["ann"], "rows": [{"entity_id": "a", "at": "2026-11-20T00:00:00Z"}]}, {""}),
    ({"features": ["spend"], "entities": ["ann"], "at": "2026-11-20T00:00:00"}, {""}),
    ({"features": ["spend"], "rows": [{"entity_id": "a", "at": "0001-01-01T00:00:00+14:00"}]}, {""}),
    ({"features": ["nothing"], "entities": ["ann"]}, {"features"}),
    ({"features": [f"f{i}" for i in range(200)], "entities": [f"e{i}" for i in range(101)]}, {""}),
]


async def test_a_body_that_cannot_be_answered_says_why(api, client):
    for body, faults in FAULTY:
        answer = await post(client, **body)
        assert answer.status_code == 422, answer.text
        assert {fault["where"] for fault in answer.json()["faults"]} == faults, body
