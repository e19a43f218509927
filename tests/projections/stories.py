"""What happens to models and features, given as commands to whatever has a `handler`."""

from __future__ import annotations

import itertools

import msgspec

from domain import dataset, drift, experiment, gate, model, monitor
from domain.dataset import Column
from domain.model_policy import Monitoring
from handlers.command import CommandRequest, Directive
from tests.projections.platform import ME

SHA = "a" * 64
COLUMNS = (Column("age", "number", 0, 50), Column("churned", "category", 0, 2))
MODEL = {"name": "Churn", "features": [{"name": "age"}], "target": "churned"}
PAIRS = gate.Pairs(both=600, active_only=10, other_only=60, neither=30)
BETTER = gate.judge(PAIRS, 20.0)
WINDOW = drift.Window(1, 500, 500, {"age": drift.FeatureWindow("ks", 0.2, 0.001, 0.31)})
VERDICT = drift.Verdict("feature", "age", "ks", 500, 0.001, 0.01, {"p": 0.001})

_numbers = itertools.count(1)


async def tell(core, category, id, *commands):
    """From within, each accepted."""
    for command in commands:
        directive = Directive(id=f"told-{next(_numbers)}", category=category, stream_id=id, command=command)
        (outcome,) = await core.handler.direct([directive], ME)
        assert outcome.outcome == "accepted", outcome


async def accepted(core, type, id, data=None):
    request = CommandRequest(type=type, stream_id=id, data=msgspec.json.encode(data or {}))
    outcome = await core.handler.handle(request, ME)
    assert outcome.outcome == "accepted", outcome
    return outcome


async def a_model(core, id="churn"):
    """Registered, with a dataset `<id>-data`."""
    await accepted(core, "model.register", id, MODEL)
    registered = dataset.Register("d", "upload", SHA, 1_000, 1_000, "churned", COLUMNS, 0.97)
    await tell(core, "dataset", f"{id}-data", registered)


async def trained(core, id, version, accuracy):
    """Up to the version's evaluation; the experiment's id."""
    await accepted(core, "model.retrain", id, {"dataset_id": f"{id}-data"})
    of, wrong = f"{id}-{version}", round(300 * (1 - accuracy))
    metrics, holdout = {"accuracy": accuracy, "f1": accuracy - 0.1}, model.Holdout(300, wrong)
    made = experiment.Trained(SHA, 900, ("0", "1"), 700, 300, 1.5, {"scikit-learn": "1.9.1"})
    champion = {"accuracy": 0.8} if version != "1" else {}
    await tell(
        core,
        "experiment",
        of,
        experiment.StartStep("train"),
        experiment.RecordTraining(made),
        experiment.StartStep("evaluate"),
        experiment.RecordEvaluation(experiment.Evaluated(metrics, holdout, champion, PAIRS)),
    )
    added = model.AddVersion(version, of, SHA, f"{id}-data", SHA, 700, ("0", "1"), metrics, holdout)
    await tell(core, "model", id, added)
    return of


async def promoted(core, id, version, champion):
    of = f"{id}-{version}"
    await tell(core, "experiment", of, experiment.Decide("promote", "better", BETTER), experiment.ReportPromoted())
    await tell(core, "model", id, model.PromoteChallenger(of, version, champion, "better"))


async def concluded(core, id, version, outcome):
    of = f"{id}-{version}"
    await tell(core, "experiment", of, experiment.Conclude(outcome, "so it went"))
    await tell(core, "model", id, model.ReleaseTraining(of))


async def watched(core, id, version):
    """A window that drifted; 100 outcomes of which 10 are wrong, with a comparison; then mostly outcomes of other
    versions, of which it is not told whose are wrong, and such of which it is: 2 of 20."""
    compared = monitor.Compared(f"{id}-{version}", "watch", "1", BETTER)
    await accepted(core, "monitor.record_labels", id, {"labels": [{"prediction": "b1.0", "label": "1"}]})
    await tell(
        core,
        "monitor",
        id,
        begin(version),
        monitor.ObserveInputs(
            beginning=1, first=1, last=9, rows=500, content=SHA, windows=(WINDOW,), verdicts=(VERDICT,)
        ),
        monitor.ObserveOutcomes(
            beginning=1,
            labels_from=1,
            labels_to=1,
            rows=100,
            wrong=10,
            of_version=100,
            unmatched=2,
            content=SHA,
            compared=compared,
        ),
        monitor.ObserveOutcomes(
            beginning=1, labels_from=2, labels_to=2, rows=40, wrong=39, of_version=1, unmatched=0, content=SHA
        ),
        monitor.ObserveOutcomes(
            beginning=1,
            labels_from=3,
            labels_to=3,
            rows=50,
            wrong=31,
            of_version=20,
            unmatched=0,
            content=SHA,
            wrong_of_version=2,
        ),
    )


def begin(version):
    thresholds = drift.Thresholds(30_000, 60_000, 1e-5, 1e-3)
    return monitor.Begin(version, SHA, model.Holdout(300, 60), Monitoring(), thresholds, "drift/1", 0)


async def features(core):
    """spend and orders, and what is made of both."""
    define = {"data_type": "number", "freshness_requirements": {"max_age": 3600}}
    for name in ("spend", "orders", "average"):
        await accepted(core, "feature.define", name, define)
    derive = {"upstream": ["spend", "orders"], "transformation_type": "ratio"}
    await accepted(core, "feature.derive", "average", derive)
    version = {"version": "1", "data_location": "s3://lake/average", "statistics": {"mean": 3.5}}
    await accepted(core, "feature.publish_version", "average", version)


async def record(core, entity, at, **values):
    """Values that were true at `at` (RFC 3339)."""
    data = {"values": values, "timestamp": msgspec.to_builtins(at), "source": "billing", "quality_score": 0.9}
    return await accepted(core, "entity.record_features", entity, data)
