"""A model in production, on real rows: it is trained, the world changes, and evidence says what takes its place.

A camera asks about regions of photographs. An update of its software takes red for blue; the errors are found to have
drifted, and a new version is trained, tried in the shadow, promoted and watched. A training on wrong labels is refused.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from domain.model_policy import Gate, ModelPolicy, Monitoring, Training, Watch
from domain.pipeline import Feature, Pipeline
from sagacity.cli.output import percent
from sagacity.demo.lines import odds
from sagacity.demo.model_scene import Errors, Scene
from sagacity.demo.segments import TARGET, as_csv, off_by_one, swapped
from sagacity.demo.story import Claim

KNOWN: Final = 600
"""Regions whose material is known from the beginning."""
QUIET: Final = 500
"""Predictions before the world changes."""

PIPELINE: Final = Pipeline("random_forest", {"n_estimators": 50})
POLICY: Final = ModelPolicy(
    training=Training(rows=1_000, fresh=300),
    gate=Gate(odds=20),
    watch=Watch(labels=200),
    monitoring=Monitoring(window=100),
)


async def first_version(scene: Scene) -> list[Claim]:
    scene.tell(
        f"A model is to tell materials in photographs: {KNOWN} regions are uploaded, and a random forest is trained\n"
        f"It learns from {100 * (1 - POLICY.training.holdout):.0f} % of them and is tried on the others."
    )
    known = scene.regions[:KNOWN]
    dataset = await scene.upload("known", as_csv(known), TARGET)
    features = [Feature(name) for name in known[0].features]
    document: dict[str, Any] = msgspec.to_builtins(
        {"name": "Materials", "features": features, "target": TARGET, "pipeline": PIPELINE, "policy": POLICY}
    )
    await scene.command("model.register", document)
    trained = await scene.follow(await scene.retrain(dataset))
    right = percent(trained.accuracy)
    in_use = await scene.in_use(trained.position)
    return [
        Claim(
            f"version 1 is in use: right on {right} of {trained.held_out} regions that it was not trained on",
            trained.outcome == "promoted" and in_use == "1" and trained.accuracy > 0.9,
        )
    ]


async def quiet_days(scene: Scene) -> list[Claim]:
    scene.tell(
        f"The camera asks about {QUIET} more regions, one request each; what was right is known a little later\n"
        f"Detectors watch errors and all {len(scene.regions[0].features)} features: at most one false alarm in"
        f" {POLICY.monitoring.budget.days:g} days of {POLICY.monitoring.expected_per_day} predictions."
    )
    scene.camera.rate = 200
    await scene.camera.film(QUIET)
    seen = await scene.observed(QUIET)
    now, then = seen["error_rate"], seen["holdout_error_rate"]
    return [
        Claim(f"{scene.camera.asked} predictions, {len(scene.camera.lost)} failed", not scene.camera.lost),
        Claim(
            f"wrong on {percent(now)}, as on the regions held out ({percent(then)}); no alarm",
            abs(now - then) < 0.05 and seen["verdicts"] == 0,
        ),
    ]


async def world_changes(scene: Scene) -> list[Claim]:
    scene.tell("The world changes: an update of the camera takes red for blue, and blue for red")
    camera, before = scene.camera, Errors.of(scene.camera)
    camera.lens, camera.rate = swapped, 60
    async with camera.filming():
        verdict = await scene.drift_of_errors()
        after, evidence = verdict["at"] - QUIET, odds(verdict["statistic"])
        scene.tell(f"Errors have drifted: {after} labels after the change the evidence is {evidence}")
        trained = await scene.follow(f"{scene.model}-2")
        during = Errors.of(camera) - before
    in_use, drifted = await scene.in_use(trained.position), await scene.drifted_features("1")
    was, now, old = during.rate("1"), during.rate("2"), before.rate("1")
    return [
        Claim(
            f"drift is found after {after} labels, evidence {evidence}; of inputs, too: {', '.join(drifted)}",
            0 < after <= 312 and {"rawred-mean", "rawblue-mean"} <= set(drifted),
        ),
        Claim(
            f"version 2 is trained on rows that came after the alarm, and promoted: {trained.decision}",
            trained.outcome == "promoted" and in_use == "2" and trained.trigger == "drift",
        ),
        Claim(
            f"wrong on {percent(old)} before the change, on {percent(was)} until version 2, on {percent(now)} since",
            was > 2 * old and now < was / 2,
        ),
        scene.all_answered(),
    ]


async def sabotage(scene: Scene) -> list[Claim]:
    scene.tell(
        "Somebody trains on labels that are off by one line: every region has the name of the next material\n"
        "On the rows held out of such data the version looks good, and the one in use hopeless."
    )
    wrong = off_by_one(map(swapped, scene.regions[:KNOWN]))
    dataset = await scene.upload("off-by-one", as_csv(wrong), TARGET)
    async with scene.camera.filming():
        refused = await scene.follow(await scene.retrain(dataset))
    in_use = await scene.in_use(refused.position)
    return [
        Claim(
            f"on its own rows version 3 is right on {percent(refused.accuracy)}, the one in use on"
            f" {percent(refused.champion_accuracy)}",
            refused.accuracy > 0.8 > refused.champion_accuracy,
        ),
        Claim(
            f"in the shadow it is refused: {refused.decision}",
            refused.outcome == "discarded" and in_use == "2",
        ),
        scene.all_answered(),
    ]


async def same_verdicts(scene: Scene) -> list[Claim]:
    scene.tell("Every verdict is computed again, from the rows on record")
    recorded, again = await scene.verdicts()
    return [
        Claim(
            f"all {len(recorded)} verdicts, on drift and on versions, are the same bit for bit",
            len(recorded) > 0 and recorded == again,
        )
    ]


CHAPTERS: Final = (first_version, quiet_days, world_changes, sabotage, same_verdicts)
"""In this order, each with what must come out."""
