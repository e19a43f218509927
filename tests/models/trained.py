"""Models for tests: fitted here, and brought into use by the same commands as the retraining saga gives."""

from __future__ import annotations

import uuid
from functools import cache

import numpy as np

from domain import model
from domain.model_policy import ModelPolicy
from domain.pipeline import Feature, Pipeline
from handlers.command import Caller, Directive
from models.learn.artifacts import dump
from models.learn.encoding import table
from models.learn.fitted import Fitted
from models.learn.pipelines import build

FEATURES = (Feature("age"), Feature("income"), Feature("city", "category"))
ROW = {"age": 30.5, "income": -1.0, "city": "oslo"}
ME = Caller(actor="ann")


def fresh(what="model"):
    return f"{what}-{uuid.uuid4().hex[:8]}"


@cache
def fitted(seed=0, algorithm="logistic_regression", features=FEATURES):
    """Of 80 rows: `yes` where the first number is above 40."""
    random = np.random.default_rng(seed)
    columns = [
        random.uniform(0, 80, 80).tolist() if feature.type == "number" else random.choice(["oslo", "rome"], 80).tolist()
        for feature in features
    ]
    target = ["yes" if value > 40 else "no" for value in columns[0]]
    pipeline = build(Pipeline(algorithm), features, seed).fit(table(columns, features), target)
    return Fitted(features, tuple(str(name) for name in pipeline.classes_), pipeline)


async def tell(core, id, *commands):
    """Raises AssertionError for one that is refused."""
    directives = [
        Directive(id=fresh("command"), category="model", stream_id=id, command=command) for command in commands
    ]
    for outcome in await core.handler.direct(directives, ME):
        assert outcome.outcome == "accepted", outcome


async def register(core, *, record=1.0, features=FEATURES, id=None):
    id = id or fresh()
    await tell(core, id, model.Register("Churn", features, "leaves", policy=ModelPolicy(record=record)))
    return id


async def add_version(core, blobs, id, version, content=None):
    """Not in use yet. `content`: the artifact, or what stands there instead of one."""
    artifact = await blobs.put(dump(fitted(int(version))) if content is None else content)
    experiment, data = f"{id}-{version}", "0" * 64
    await tell(
        core,
        id,
        model.ReserveTraining(experiment, version),
        model.AddVersion(version, experiment, artifact, "data", data, 80, ("no", "yes"), {}, model.Holdout(20, 1)),
        model.ReleaseTraining(experiment),
    )


async def in_use(core, blobs, *versions, active=None, **options):
    """A model with these versions, of which one is in use, or none."""
    id = await register(core, **options)
    for version in versions:
        await add_version(core, blobs, id, version)
    if active:
        await promote(core, id, active)
    return id


async def promote(core, id, version):
    await tell(core, id, model.Promote(version))
