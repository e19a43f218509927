"""`POST /predict`, labels and retraining, as callers see them."""

import asyncio
import json

import httpx
import pytest
import pytest_asyncio

from eventstore.blobs import Blobs
from models.serve.predictions import Predictions
from sagacity.wiring import open_core
from tests.api.calls import client_of, fresh
from tests.models.trained import ROW, fitted, in_use

PREDICT = "/api/v1/predict"
VALUES = [list(ROW.values())]


class Models:
    """Brings models into use, and looks at what was recorded."""

    def __init__(self, core):
        self.core, connection = core, core.store.connection
        self.blobs, self.predictions = Blobs(connection), Predictions(connection)

    async def model(self, *versions, active=None, **options):
        return await in_use(self.core, self.blobs, *versions, active=active, **options)


@pytest_asyncio.fixture
async def models(platform):
    async with open_core((platform.home / "run" / "nats_url").read_text()) as core:
        models = Models(core)
        yield models
        await models.predictions.close()


async def test_one_row_is_answered_and_on_the_record(http, models):
    id = await models.model("1", active="1")
    answer = http.post(PREDICT, json={"model": id, "features": ROW})
    assert answer.status_code == 200
    found = answer.json()
    (label,), (confidence,) = fitted(1).predict(VALUES)
    assert (found["model"], found["version"]) == (id, "1")
    assert (found["prediction"], found["confidence"]) == (label, confidence)
    batch_id, _, row = found["id"].partition(".")
    batch = await models.predictions.find(id, batch_id)
    assert batch.rows[int(row)] == VALUES[0]
    async for position, each in models.predictions.read(id, found["position"] - 1):
        assert (position, each.id) == (found["position"], batch_id)
        break


async def test_many_instances_are_answered_in_their_order_by_any_version(http, models):
    id = await models.model("1", "2", active="1")
    instances = [{**ROW, "age": age} for age in range(90)]
    answer = http.post(PREDICT, json={"model": id, "version": "2", "instances": instances}).json()
    labels, confidences = fitted(2).predict([[float(age), *VALUES[0][1:]] for age in range(90)])
    assert (answer["model"], answer["version"]) == (id, "2")
    assert [each["prediction"] for each in answer["predictions"]] == labels
    assert [each["confidence"] for each in answer["predictions"]] == confidences
    assert len({each["id"] for each in answer["predictions"]}) == 90
    assert answer["position"] > 0


async def test_what_the_policy_does_not_record_has_neither_id_nor_position(http, models):
    id = await models.model("1", active="1", record=0.0)
    answer = http.post(PREDICT, json={"model": id, "features": ROW}).json()
    assert (answer["id"], answer["position"]) == (None, None)
    answer = http.post(PREDICT, json={"model": id, "instances": [ROW]}).json()
    assert (answer["predictions"][0]["id"], answer["position"]) == (None, None)


async def test_predict_retrain_and_health_answer_without_a_prefix_too(http, models):
    id = await models.model("1", active="1")
    assert http.post("/predict", json={"model": id, "features": ROW}).json()["model"] == id
    assert http.post("/retrain", json={"model": id}).status_code == 201
    assert http.get("/health").status_code == 200


@pytest.mark.parametrize(
    ("body", "faults"),
    [
        (
            {"features": {"age": "old", "city": 1, "height": 2}},
            {
                "/features/height": "the model has no such feature",
                "/features/age": "must be a number, or null",
                "/features/income": "is missing: give null for a value that is not known",
            },
        ),
        (
            {"instances": [ROW, {**ROW, "age": [1]}, "row"], "rows": []},
            {
                "/rows": "there is no such member; those are model, version, features, instances",
                "/instances/1/age": "must be a number, or null",
                "/instances/2": "must be an object with a member for each feature",
            },
        ),
        ({"instances": []}, {"/instances": "must be a list of 1 to 10000 objects"}),
        ({}, {"": "give either `features` or `instances`"}),
        ({"features": ROW, "instances": [ROW]}, {"": "give either `features` or `instances`"}),
        ({"features": ROW, "version": 2}, {"/version": "must be text"}),
        ({"features": {**ROW, "city": "a\0b"}}, {"/features/city": "must not contain NUL"}),
        (
            {"features": {**ROW, "age": float("nan")}},
            {"/features/age": "is not finite: give null for a value that is not known"},
        ),
    ],
)
async def test_all_that_is_wrong_with_a_request_is_named_at_once(http, models, body, faults):
    id = await models.model("1", active="1")
    answer = http.post(PREDICT, content=json.dumps({"model": id, **body}), headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.headers["Content-Type"]) == (422, "application/problem+json")
    assert {fault["where"]: fault["what"] for fault in answer.json()["faults"]} == faults


async def test_values_as_data_files_have_them_are_taken(http, models):
    id = await models.model("1", active="1")
    answer = http.post(PREDICT, json={"model": id, "features": {"age": True, "income": 2, "city": ""}}).json()
    assert [answer["prediction"]] == fitted(1).predict([[1.0, 2.0, None]])[0]


@pytest.mark.parametrize(
    ("content", "kind", "status", "name"),
    [
        (b'{"model": ', "application/json", 400, "malformed"),
        (b"", "application/json", 400, "malformed"),
        (b"\xff", "application/json", 400, "malformed"),
        (b"[" * 100_000, "application/json", 400, "malformed"),
        (b"[]", "application/json", 422, "invalid"),
        (b"{}", "text/plain", 415, "unsupported-media-type"),
        (b'{"features": {"a": "%s"}}' % (b"x" * 16_000_000), "application/json", 413, "too-large"),
    ],
)
def test_what_cannot_be_read_is_refused(http, content, kind, status, name):
    answer = http.post(PREDICT, content=content, headers={"Content-Type": kind})
    assert (answer.status_code, answer.json()["type"]) == (status, f"/problems/{name}")


@pytest.mark.parametrize(
    ("path", "limit"), [(PREDICT, 16_000_000), ("/api/v1/models/m/labels", 1_000_000), ("/api/v1/retrain", 1_000_000)]
)
def test_what_is_too_large_is_told_the_limit(http, path, limit):
    answer = http.post(path, content=b" " * 23_000_000, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["detail"]) == (413, f"at most {limit} bytes")


async def test_what_there_is_not_is_not_found_and_what_is_not_in_use_is_a_conflict(http, models):
    id = await models.model("1")
    missing = http.post(PREDICT, json={"model": "nobody", "features": ROW})
    assert (missing.status_code, missing.json()["type"]) == (404, "/problems/not-found")
    assert http.post(PREDICT, json={"model": id, "version": "9", "features": ROW}).status_code == 404
    idle = http.post(PREDICT, json={"model": id, "features": ROW})
    assert (idle.status_code, idle.json()["refusal"]) == (409, "no_active_version")
    assert idle.json()["type"] == "/problems/no-active-version"


async def test_without_a_model_where_there_are_several_the_choice_is_named(http, models):
    for _ in range(2):
        id = await models.model("1", active="1")
        assert http.post(PREDICT, json={"model": id, "features": ROW}).status_code == 200
    for path, body in ((PREDICT, {"features": ROW}), ("/api/v1/retrain", {})):
        answer = http.post(path, json=body)
        assert answer.status_code == 422
        (fault,) = answer.json()["faults"]
        assert fault["where"] == "/model"
        assert fault["what"].startswith('say "model": one of the ')


async def test_callers_at_the_same_time_share_messages(platform, models):
    id = await models.model("1", active="1")
    async with httpx.AsyncClient(base_url=platform.url, timeout=30) as client:
        bodies = [{"model": id, "features": {**ROW, "age": age}} for age in range(100)]
        answers = await asyncio.gather(*(client.post(PREDICT, json=body) for body in bodies))
    assert {answer.status_code for answer in answers} == {200}
    found = [answer.json() for answer in answers]
    assert len({each["id"] for each in found}) == 100
    assert len({each["position"] for each in found}) < 100
    for age, each in enumerate(found):
        batch_id, _, row = each["id"].partition(".")
        assert (await models.predictions.find(id, batch_id)).rows[int(row)][0] == age


async def test_what_is_served_is_measured(http, models):
    id = await models.model("1", active="1")
    http.post(PREDICT, json={"model": id, "instances": [ROW, ROW]})
    measured = http.get("/metrics").text
    of = f'{{model="{id}",version="1"}}'
    assert f"ai_model_inference_duration_seconds_count{of} 1.0" in measured
    assert f"ai_model_predictions_total{of} 2.0" in measured
    assert f"ai_model_prediction_confidence_count{of} 2.0" in measured


async def test_labels_are_recorded_once_a_command(http, models):
    id = await models.model("1", active="1")
    name = http.post(PREDICT, json={"model": id, "features": ROW}).json()["id"]
    given = [("yes", "yes"), (1, "1"), (2.0, "2"), (2.5, "2.5"), (True, "1")]
    body = {"labels": [{"prediction": name, "label": label} for label, _ in given]}
    key = {"Idempotency-Key": fresh("labels")}
    first, again = (http.post(f"/api/v1/models/{id}/labels", json=body, headers=key) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == {**first.json(), "duplicate": True}
    assert first.json()["stream"] == {"category": "monitor", "id": id}
    (event,) = http.get(
        "/api/v1/events", params={"category": "monitor", "correlation_id": key["Idempotency-Key"]}
    ).json()["items"]
    assert (event["type"], event["actor"]) == ("monitor.labels_recorded", "ann")
    assert event["data"]["labels"] == [{"prediction": name, "label": label} for _, label in given]


async def test_labels_that_are_none_are_all_named(http, models):
    id = await models.model("1", active="1")
    body = {"labels": [{"prediction": "no id", "label": "yes"}, {"prediction": "b.0", "label": [1]}], "more": 1}
    answer = http.post(f"/api/v1/models/{id}/labels", json=body)
    assert answer.status_code == 422
    assert {fault["where"] for fault in answer.json()["faults"]} == {"", "/labels/0/prediction", "/labels/1/label"}
    assert "/data" not in answer.text
    unknown = http.post("/api/v1/models/nobody/labels", json={"labels": [{"prediction": "b.0", "label": "x"}]})
    assert unknown.status_code == 404


async def test_a_retraining_names_its_experiment(http, models):
    id = await models.model("1", active="1")
    answer = http.post("/api/v1/retrain", json={"model": id, "reason": "stale", "seed": 7, "id": fresh("c")})
    assert answer.status_code == 201
    found = answer.json()
    assert found["experiment_id"] == f"{id}-2"
    assert found["_links"]["experiment"] == f"/api/v1/experiments/{id}-2"
    busy = http.post("/api/v1/retrain", json={"model": id})
    assert (busy.status_code, busy.json()["refusal"]) == (409, "training_in_progress")
    assert busy.json()["detail"] == f"wait for the experiment {id}-2, or cancel it first"
    assert http.post("/api/v1/retrain", json={"model": "nobody"}).status_code == 404
    wrong = http.post("/api/v1/retrain", json={"model": id, "trigger": "drift"})
    assert (wrong.status_code, wrong.json()["faults"][0]["where"]) == (422, "/trigger")
    wrong = http.post("/api/v1/retrain", json={"model": id, "seed": -1, "colour": "red"})
    assert {fault["where"] for fault in wrong.json()["faults"]} == {"", "/seed"}


async def test_without_the_log_no_prediction_is_answered_and_afterwards_it_is(api, own_nats):
    models = Models(api.services)
    id = await models.model("1", active="1")
    async with client_of(api) as client:
        body = {"model": id, "features": ROW}
        assert (await client.post(PREDICT, json=body)).status_code == 200
        own_nats.nodes[0].kill()
        refused = await client.post(PREDICT, json=body)
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        assert refused.json()["type"] == "/problems/log-unavailable"
        own_nats.nodes[0].start()
        async with asyncio.timeout(20):
            while (await client.post(PREDICT, json=body)).status_code != 200:
                await asyncio.sleep(0.05)
