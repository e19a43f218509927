"""What the read models say of models, experiments, monitors and features, on a real log and a real database."""

import pytest_asyncio

from domain import experiment, model
from domain.pipeline import Feature
from projections.read_models import READ_MODELS
from tests.projections import stories
from tests.projections.platform import equals_the_fold, projecting
from tests.projections.test_runner import rebuilt

MODELS = tuple(m for m in READ_MODELS if m.name in ("models", "experiments", "monitors", "features", "entities"))


@pytest_asyncio.fixture
async def platform(own_nats, database_url):
    async with projecting(own_nats.url, database_url, MODELS) as platform, platform.running():
        yield platform
        await platform.caught_up()
        await equals_the_fold(platform)


async def rows(platform, name, table=None, **filters):
    await platform.caught_up(name)
    return (await platform.models.rows(name, table=table, filters=filters)).items


async def statuses(platform):
    return {row.version: row.deployment_status for row in await rows(platform, "models", "versions", model_id="churn")}


async def test_a_models_versions_go_from_training_to_use_and_back(platform):
    await stories.a_model(platform)
    await stories.accepted(platform, "model.retrain", "churn", {"dataset_id": "churn-data"})
    assert await statuses(platform) == {"1": "training"}
    await stories.concluded(platform, "churn", "1", "discarded")
    await stories.trained(platform, "churn", "2", 0.8)
    assert await statuses(platform) == {"1": "discarded", "2": "trained"}
    await stories.promoted(platform, "churn", "2", None)
    await stories.concluded(platform, "churn", "2", "promoted")
    await stories.trained(platform, "churn", "3", 0.9)
    await stories.tell(platform, "model", "churn", model.StartComparison("churn-3", "shadow", "3"))
    assert await statuses(platform) == {"1": "discarded", "2": "active", "3": "shadow"}
    await stories.promoted(platform, "churn", "3", "2")
    await stories.tell(platform, "model", "churn", model.EndComparison("churn-3"))
    assert await statuses(platform) == {"1": "discarded", "2": "retired", "3": "active"}
    (row,) = await rows(platform, "models")
    assert (row.active_version, row.previous_versions, row.accuracy, row.training) == ("3", ["2"], 0.9, "churn-3")
    restored = model.RestoreChampion("churn-3", "3", "2", "worse"), model.DiscardVersion("3", "worse")
    await stories.tell(platform, "model", "churn", *restored)
    await stories.concluded(platform, "churn", "3", "rolled_back")
    assert await statuses(platform) == {"1": "discarded", "2": "active", "3": "discarded"}
    (row,) = await rows(platform, "models")
    assert (row.active_version, row.previous_versions, row.accuracy, row.training) == ("2", [], 0.8, None)
    assert row.features == [Feature("age")]
    assert row.accuracies == {"2": 0.8, "3": 0.9}
    (active,) = await rows(platform, "models", "versions", is_active="true")
    assert (active.id, active.accuracy, active.training_samples) == ("churn/2", 0.8, 700)
    assert (active.model_type, active.framework) == ("logistic_regression", "scikit-learn")


async def test_a_challenger_that_is_not_better_was_in_the_shadow_and_is_discarded(platform):
    await stories.a_model(platform)
    await stories.trained(platform, "churn", "1", 0.8)
    await stories.promoted(platform, "churn", "1", None)
    await stories.concluded(platform, "churn", "1", "promoted")
    await stories.trained(platform, "churn", "2", 0.7)
    await stories.tell(
        platform,
        "model",
        "churn",
        model.StartComparison("churn-2", "shadow", "2"),
        model.EndComparison("churn-2"),
    )
    assert await statuses(platform) == {"1": "active", "2": "trained"}
    await stories.tell(platform, "model", "churn", model.DiscardVersion("2", "worse"))
    await stories.concluded(platform, "churn", "2", "discarded")
    assert await statuses(platform) == {"1": "active", "2": "discarded"}


async def test_an_experiment_tells_its_configuration_results_and_outcome(platform):
    await stories.a_model(platform)
    await stories.trained(platform, "churn", "1", 0.8)
    await stories.promoted(platform, "churn", "1", None)
    (row,) = await rows(platform, "experiments", model_id="churn", status="running")
    assert (row.id, row.step, row.decision, row.judgement) == ("churn-1", "evaluate", "promote", stories.BETTER)
    await stories.tell(platform, "experiment", "churn-1", experiment.StartRollback("worse"))
    assert (await rows(platform, "experiments"))[0].status == "undoing"
    await stories.concluded(platform, "churn", "1", "rolled_back")
    (row,) = await rows(platform, "experiments", outcome="rolled_back")
    assert (row.status, row.step, row.outcome_reason, row.requested_by) == ("ended", None, "so it went", "ann")
    assert row.duration_seconds == (row.ended_at - row.created_at).total_seconds() > 0
    assert (row.experiment_config.dataset_id, row.dataset.samples) == ("churn-data", 1_000)
    assert (row.results.metrics["accuracy"], row.results.training_seconds, row.artifact) == (0.8, 1.5, stories.SHA)
    assert row.results.pairs is None, "there was no champion"


async def test_every_metric_of_an_event_is_a_row_of_its_own(platform):
    await stories.a_model(platform)
    await stories.trained(platform, "churn", "1", 0.8)
    await stories.promoted(platform, "churn", "1", None)
    await stories.watched(platform, "churn", "1")
    found = {
        (row.environment, row.metric_name): row.metric_value
        for row in await rows(platform, "models", "model_metrics", model_id="churn", version="1")
    }
    assert found == {
        ("training", "training_samples"): 700,
        ("training", "holdout_samples"): 300,
        ("training", "artifact_bytes"): 900,
        ("training", "duration_seconds"): 1.5,
        ("holdout", "accuracy"): 0.8,
        ("holdout", "f1"): 0.8 - 0.1,
        ("production", "error_rate"): 0.1,
        ("production", "accuracy"): 0.9,
        ("production", "psi.age"): 0.31,
        ("production", "p_value.age"): 0.001,
    }
    rates = await rows(platform, "models", "model_metrics", environment="production", metric_name="error_rate")
    assert [row.metric_value for row in rates] == [0.1, 0.1], "of both observations that tell"
    assert len(await rows(platform, "models", "model_metrics", environment="production", metric_name="psi.age")) == 1


async def test_a_monitor_tells_what_was_seen_of_the_version_in_use_and_every_verdict_stays(platform):
    await stories.a_model(platform)
    await stories.watched(platform, "churn", "1")
    (row,) = await rows(platform, "monitors")
    assert (row.model_version, row.predictions, row.outcomes, row.error_rate) == ("1", 500, 120, 0.1)
    assert (row.predictions_per_day > 500, row.expected_per_day, row.rate_warning) == (True, 1_000, None)
    assert (row.holdout_error_rate, row.labels, row.unmatched, row.verdicts) == (0.2, 1, 2, 1)
    assert row.last_window == stories.WINDOW
    assert row.comparison.judgement == stories.BETTER
    (verdict,) = await rows(platform, "monitors", "drift", model_id="churn", kind="feature")
    assert verdict == row.last_verdict
    assert (verdict.feature, verdict.method, verdict.at, verdict.policy_version) == ("age", "ks", 500, "drift/1")
    await stories.watched(platform, "other", "1")
    await stories.tell(platform, "monitor", "churn", stories.begin("2"))
    (row,) = await rows(platform, "monitors", model_version="2")
    assert (row.predictions, row.outcomes, row.error_rate, row.last_window) == (0, 0, None, None)
    assert (row.labels, row.verdicts) == (1, 1)
    assert len(await rows(platform, "monitors", "drift")) == 2


async def test_features_have_definitions_versions_and_a_lineage_that_may_change(platform):
    await stories.features(platform)
    defined = {row.id: row for row in await rows(platform, "features", data_type="number")}
    assert defined["average"].upstream == ["spend", "orders"]
    assert defined["average"].versions == ["1"]
    assert defined["spend"].freshness_requirements.max_age == 3_600
    (version,) = await rows(platform, "features", "feature_versions", feature_id="average")
    assert (version.version, version.data_location, version.statistics) == ("1", "s3://lake/average", {"mean": 3.5})
    lineage = await rows(platform, "features", "feature_lineage", downstream_id="average")
    assert {(row.upstream_id, row.transformation_type) for row in lineage} == {("spend", "ratio"), ("orders", "ratio")}
    derive = {"upstream": ["spend"], "transformation_type": "sum", "transformation_config": {"days": 30}}
    await stories.accepted(platform, "feature.derive", "average", derive)
    (row,) = await rows(platform, "features", "feature_lineage", downstream_id="average")
    assert (row.upstream_id, row.transformation_type, row.transformation_config) == ("spend", "sum", {"days": 30})


async def test_an_entity_has_the_latest_values_and_keeps_all_of_them(platform):
    await stories.features(platform)
    await stories.record(platform, "ann", "2026-11-20T12:00:00Z", spend=5, orders=1)
    await stories.record(platform, "ann", "2026-11-19T12:00:00Z", spend=3)
    await stories.record(platform, "ann", "2026-11-20T12:00:00Z", spend=6)
    (row,) = await rows(platform, "entities")
    assert {name: latest.value for name, latest in row.features.items()} == {"spend": 6, "orders": 1}
    values = await rows(platform, "entities", "feature_values", source="billing")
    assert [(v.feature_name, v.feature_value) for v in values] == [
        ("spend", 6),
        ("spend", 3),
        ("spend", 5),
        ("orders", 1),
    ]


async def test_a_rebuild_gives_the_same_rows_of_every_kind_of_table(platform):
    await stories.a_model(platform)
    await stories.trained(platform, "churn", "1", 0.8)
    await stories.features(platform)
    for name in ("models", "features"):
        await platform.command("projection.rebuild", name)
    for name in ("models", "features"):
        status = await rebuilt(platform, name)
        assert all(table["same"] and table["rows_after"] for table in status.rebuild_report), name
