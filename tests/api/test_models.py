"""Models over HTTP: where to go and what to do, what became of their versions, and what was measured."""

import pytest_asyncio

from tests.api.calls import client_of, read
from tests.projections import stories


@pytest_asyncio.fixture
async def client(api):
    async with client_of(api) as client:
        yield client


async def two_versions(services):
    await stories.a_model(services)
    for version, accuracy in (("1", 0.8), ("2", 0.9)):
        await stories.trained(services, "churn", version, accuracy)
        await stories.promoted(services, "churn", version, None if version == "1" else "1")
        await stories.concluded(services, "churn", version, "promoted")
    await stories.watched(services, "churn", "2")


async def test_a_model_says_where_to_go_and_what_to_do(api, client):
    await two_versions(api.services)
    row = await read(api, client, "/models/churn")
    assert (row["active_version"], row["accuracy"]) == ("2", 0.9)
    assert row["_actions"].keys() == {"configure", "retrain", "promote", "roll_back"}
    assert row["_actions"]["roll_back"]["body"] == {
        "type": "model.roll_back",
        "data": {"version": "1", "reason": ""},
        "stream": {"category": "model", "id": "churn"},
    }
    for name, path in row["_links"].items():
        assert (await client.get(path)).status_code == 200, name
    for action in ("roll_back", "retrain"):
        done = row["_actions"][action]
        assert (await client.post(done["href"], json=done["body"])).status_code == 201, action
    row = await read(api, client, "/models/churn")
    assert (row["active_version"], row["training"]) == ("1", "churn-3")
    assert row["_actions"].keys() == {"configure"}


async def test_an_experiment_can_be_cancelled_once_while_it_runs(api, client):
    await stories.a_model(api.services)
    await stories.accepted(api.services, "model.retrain", "churn", {"dataset_id": "churn-data"})
    row = await read(api, client, "/experiments/churn-1")
    assert row["_links"]["saga"] == "/api/v1/sagas/retraining-churn-1"
    assert (await read(api, client, "/datasets/churn-data"))["id"] == row["dataset"]["dataset_id"]
    cancel = row["_actions"]["cancel"]
    assert (await client.post(cancel["href"], json=cancel["body"])).status_code == 201
    assert (await read(api, client, "/experiments/churn-1"))["_actions"] == {}
    was = await read(api, client, "/experiments/churn-1", as_of=row["position"])
    assert not was["cancelled"]


async def test_versions_metrics_and_drift_are_lists_of_the_model(api, client):
    await two_versions(api.services)
    versions = await read(api, client, "/models/churn/versions", deployment_status="active")
    assert [(each["model_name"], each["version"], each["accuracy"]) for each in versions["items"]] == [
        ("Churn", "2", 0.9)
    ]
    (drift,) = (await read(api, client, "/models/churn/drift", kind="feature"))["items"]
    assert drift["feature"] == "age"
    page = await read(api, client, "/models/churn/metrics", metric_name="accuracy", limit=2)
    found = page["items"]
    while "next" in page["_links"]:
        page = (await client.get(page["_links"]["next"])).json()
        found += page["items"]
    assert [(each["version"], each["environment"], each["metric_value"]) for each in found] == [
        ("2", "production", 0.9),
        ("2", "production", 0.9),
        ("2", "holdout", 0.9),
        ("1", "holdout", 0.8),
    ]


async def test_prometheus_is_told_the_accuracy_and_data_quality_of_what_is_in_use(api, client):
    await two_versions(api.services)
    for path in ("/models/churn", "/monitors/churn", "/datasets/churn-data"):
        await read(api, client, path)
    lines = (await client.get("/metrics")).text.splitlines()
    assert [line for line in lines if line.startswith("ai_model_accuracy") and 'version="1"' in line] == []
    assert {line for line in lines if line.startswith(("ai_model_accuracy", "ai_data"))} == {
        'ai_model_accuracy{environment="holdout",model="churn",version="2"} 0.9',
        'ai_model_accuracy{environment="production",model="churn",version="2"} 0.9',
        'ai_data_quality_score{dataset="churn-data"} 0.97',
    }


UNANSWERABLE = [
    ("/models/nobody/versions", 404),
    ("/models/churn/metrics?model_id=other", 422),
    ("/models/churn/drift?colour=red", 422),
]


async def test_what_cannot_be_answered_is_a_problem(api, client):
    await stories.a_model(api.services)
    await read(api, client, "/models/churn")
    for path, status in UNANSWERABLE:
        answer = await client.get(f"/api/v1{path}")
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), path
