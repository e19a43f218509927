"""The retraining saga on the real runner and log: promoted, discarded, rolled back, cancelled, late, stumbling."""

import asyncio
import os
import sys

import pytest

from domain import experiment, model, monitor
from eventstore.blobs import BUCKET
from eventstore.errors import LogUnavailable
from models.learn.training import TrainingFailed
from tests.sagas.model_story import TREE, ModelStory, table, told, trainings_of

SLOW = {"algorithm": "random_forest", "parameters": {"n_estimators": 1000}}


async def ready(story, **policy):
    """A version that is good enough is in use."""
    await story.register(**policy)
    await story.trained_first(TREE)


async def test_the_first_training_is_promoted(log_url):
    async with told(log_url, "first", processes=True) as story:
        await ready(story)
        await story.assert_settled(1, "promoted", active="1")
        version = (await story.state("model", "first")).versions["1"]
        assert (version.dataset_id, version.classes, version.holdout.rows) == ("first-rows", ("0", "1"), 120)
        right = 1 - version.holdout.wrong / version.holdout.rows
        [decided] = [e for e in await story.events("experiment", "first-1") if isinstance(e, experiment.Decided)]
        assert decided.reason == f"right on {right:.1%} of 120 rows held out; no version is in use"


async def test_a_better_version_is_promoted_and_watched_to_the_end(log_url):
    async with told(log_url, "better") as story:
        await ready(story, watch={"labels": 300})
        await story.second()
        await story.under_way(2, "shadow")
        await story.compare("shadow")
        await story.under_way(2, "watch")
        assert (await story.state("model", "better")).active == "2"
        await story.compare("watch")
        await story.assert_settled(2, "promoted", active="2")
        assert (await story.state("model", "better")).history == ("1",)


async def test_a_sabotaged_version_is_discarded_in_the_shadow(log_url):
    """Its labels were swapped, in the holdout too: there it looks perfect, and the version in use useless."""
    async with told(log_url, "sabotage") as story:
        await ready(story)
        await story.second(inverted=True)
        await story.under_way(2, "shadow")
        [evaluated] = [e for e in await story.events("experiment", "sabotage-2") if isinstance(e, experiment.Evaluated)]
        assert evaluated.metrics["accuracy"] > 0.8 > 0.3 > evaluated.champion["accuracy"]
        await story.compare("shadow")
        await story.assert_settled(2, "discarded", active="1")
        assert (await story.reason(2)).startswith("proven worse")
        assert await story.promotions() == [("Promoted", None, "1")]


async def test_what_is_worse_after_its_promotion_is_rolled_back(log_url):
    """The world was upside down for as long as the version was in the shadow."""
    async with told(log_url, "worse") as story:
        await ready(story)
        await story.second(inverted=True)
        await story.under_way(2, "shadow")
        await story.compare("shadow", inverted=True)
        await story.under_way(2, "watch")
        await story.compare("watch")
        await story.assert_settled(2, "rolled_back", active="1")
        assert await story.promotions() == [("Promoted", None, "1"), ("Promoted", "1", "2"), ("RolledBack", "2", "1")]


async def test_a_person_rolls_back_what_is_being_watched(log_url):
    async with told(log_url, "by-hand") as story:
        await ready(story)
        await story.second()
        await story.under_way(2, "shadow")
        await story.compare("shadow")
        await story.under_way(2, "watch")
        assert (await story.command("model.roll_back", "by-hand", {"reason": "complaints"})).outcome == "accepted"
        await story.assert_settled(2, "rolled_back", active="1")
        assert await story.reason(2) == "the model was rolled back: complaints"


async def test_after_drift_only_rows_since_then_are_trained_on(log_url):
    """It waits for as many as are asked for, and takes the latest of them, as they were observed."""
    async with told(log_url, "drift") as story:
        await ready(story, training={"fresh": 500, "rows": 600})
        await story.label(400, 7)
        await story.direct("model", "drift", model.AskForTraining("drift", "errors"))
        await story.until(lambda: story.saga(2), lambda state: getattr(state, "stumbled", None) == "0 of 500")
        await story.label(100, 8)
        await story.until(lambda: story.saga(2), lambda state: state.stumbled == "100 of 500")
        await story.label(600, 2)
        await story.under_way(2, "shadow")
        registered = (await story.state("dataset", "drift-2-data")).registered
        assert (registered.source, registered.samples, registered.target) == ("assembled", 600, "target")
        assert registered.metadata == {"model": "drift", "experiment": "drift-2", "first_row": 501, "last_row": 1100}
        assert await story.rows_of("drift-2-data") == table(600, 2)
        assert (await story.state("experiment", "drift-2")).dataset.content == registered.content
        await story.command("experiment.cancel", "drift-2")
        await story.assert_settled(2, "discarded", active="1")


async def test_without_drift_the_latest_rows_are_taken_from_wherever_they_come(log_url):
    async with told(log_url, "latest") as story:
        await ready(story, training={"rows": 100})
        for seed in range(3):
            await story.label(40, seed)
            for row in range(30):
                await story.direct("monitor", "latest", monitor.RecordLabels((monitor.Label(f"b.{row}", "1"),)))
        story.workshop.before = lambda what: asyncio.Event().wait()
        await story.retrain()
        await story.under_way(2, "train")
        columns, _ = await story.rows_of("latest-2-data")
        parts = [table(40, seed)[0] for seed in range(3)]
        assert columns == {name: [value for part in parts for value in part[name]][-100:] for name in columns}
        await story.command("experiment.cancel", "latest-2")
        await story.assert_settled(2, "discarded", active="1")


async def test_rows_that_are_gone_are_not_trained_on(log_url):
    async with told(log_url, "gone") as story:
        await ready(story)
        await story.label(60, 3)
        await (await story.core.connection.jetstream().object_store(BUCKET)).delete(story.contents[-1])
        await story.retrain()
        waiting = await story.until(lambda: story.saga(2), lambda state: getattr(state, "stumbled", ""))
        assert waiting.stumbled == "0 of 50"
        await story.label(60, 4)
        await story.under_way(2, "train")


async def test_no_more_trainings_run_at_once_than_are_allowed(log_url):
    async with told(log_url, "crowd") as story:
        under_way, most, go = set(), [], asyncio.Event()

        async def count(what):
            under_way.add(asyncio.current_task())
            most.append(len(under_way))
            await go.wait()
            under_way.discard(asyncio.current_task())

        story.workshop.before = count
        models = [ModelStory(story.core, f"crowd-{number}") for number in range(4)]
        for each in models:
            await each.register()
            await each.dataset(f"{each.name}-rows", *table(400, 1))
            await each.retrain(dataset_id=f"{each.name}-rows", pipeline=TREE)
        for each in models:
            await each.under_way(1, "train")
        go.set()
        for each in models:
            await each.assert_settled(1, "promoted", active="1")
        assert max(most) == 2


async def test_a_model_without_predictions_is_not_trained_on_them(log_url):
    async with told(log_url, "nothing") as story:
        await story.register()
        await story.retrain()
        await story.assert_settled(1, "discarded", active=None)
        assert "name a dataset" in await story.reason(1)


async def test_an_id_that_somebody_else_has_taken_is_not_trained_on(log_url):
    async with told(log_url, "taken") as story:
        await ready(story)
        await story.label(60, 3)
        await story.dataset("taken-2-data", *table(20, 4))
        await story.retrain()
        await story.assert_settled(2, "discarded", active="1")
        assert (await story.state("dataset", "taken-2-data")).registered.samples == 20


@pytest.mark.parametrize("step", ["assemble", "train", "evaluate", "shadow", "watch"])
async def test_cancelled_in_any_step_it_leaves_the_version_in_use(log_url, step):
    async with told(log_url, f"cancel-{step}") as story:
        await ready(story)
        story.workshop.before = lambda what: asyncio.Event().wait() if what == step else asyncio.sleep(0)
        await (story.retrain() if step == "assemble" else story.second())
        await story.under_way(2, "shadow" if step == "watch" else step)
        if step == "watch":
            await story.compare("shadow")
            await story.under_way(2, step)
        cancelled = await story.command("experiment.cancel", f"cancel-{step}-2", {"reason": "enough"})
        assert cancelled.outcome == "accepted"
        outcome = "rolled_back" if step == "watch" else "discarded"
        await story.assert_settled(2, outcome, active="1")
        assert await story.reason(2) == "cancelled: enough"
        again = await story.command("model.retrain", f"cancel-{step}", {"dataset_id": f"cancel-{step}-rows"})
        assert again.outcome == "accepted", "the model is free for the next training"
        await story.command("experiment.cancel", f"cancel-{step}-3")
        await story.assert_settled(3, "discarded", active="1")


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
async def test_a_cancelled_training_leaves_nothing_running(log_url):
    async with told(log_url, "stopped", processes=True) as story:
        await story.register()
        await story.dataset("stopped-rows", *table(5_000, 6))
        await story.retrain(dataset_id="stopped-rows", pipeline=SLOW)
        await story.until(lambda: asyncio.to_thread(trainings_of, os.getpid()), bool)
        await story.command("experiment.cancel", "stopped-1")
        await story.assert_settled(1, "discarded", active=None)
        assert trainings_of(os.getpid()) == []


async def test_a_paused_saga_goes_on_when_a_person_says_so(log_url):
    async with told(log_url, "paused") as story:
        await ready(story)
        failures = iter(range(3))

        async def stumble(what):
            if what == "train" and next(failures, None) is not None:
                raise LogUnavailable("no answer")

        story.workshop.before = stumble
        await story.second()
        paused = await story.until(lambda: story.saga(2), lambda state: getattr(state, "paused", None))
        assert paused.paused == "train: no answer (after 3 attempts)"
        assert paused.effect("paused-2-train").status == "unknown"
        assert (await story.command("saga.resume", "retraining-paused-2")).outcome == "accepted"
        await story.under_way(2, "shadow")
        await story.command("experiment.cancel", "paused-2")
        await story.assert_settled(2, "discarded", active="1")


async def test_what_is_too_large_to_be_written_waits_for_a_person(log_url):
    async with told(log_url, "too-large") as story:
        await ready(story)
        failures = iter(range(1))

        async def fail_at_length(what):
            if what == "train" and next(failures, None) is not None:
                raise TrainingFailed("x" * 2_000_000)

        story.workshop.before = fail_at_length
        await story.second()
        paused = await story.until(lambda: story.saga(2), lambda state: getattr(state, "paused", None))
        assert paused.paused.startswith("too large to be written: over ")
        assert (await story.command("saga.resume", "retraining-too-large-2")).outcome == "accepted"
        await story.under_way(2, "shadow")
        await story.command("experiment.cancel", "too-large-2")
        await story.assert_settled(2, "discarded", active="1")


TIMES = {
    "assemble": (
        {"training": {"patience": 0.6}},
        "discarded",
        "not enough labelled rows within 0.6 s (when last counted: 20 of 50)",
    ),
    "train": ({"training": {"timeout": 0.2}}, "discarded", "train: not finished after 0.2 s"),
    "shadow": ({"gate": {"timeout": 0.6}}, "discarded", "no evidence that it is better within 0.6 s"),
    "watch": ({"watch": {"timeout": 0.6}}, "promoted", "in use; nothing spoke against it while it was watched"),
}


@pytest.mark.parametrize("step", TIMES)
async def test_every_step_has_its_time(log_url, step):
    """Timers are the log's own: nobody has to be awake for them."""
    policy, outcome, why = TIMES[step]
    async with told(log_url, f"late-{step}") as story:
        await ready(story)
        await story.command("model.configure", f"late-{step}", {"policy": policy})
        story.workshop.processes = step == "train"
        await story.label(20, 5)
        await (story.retrain() if step == "assemble" else story.second())
        if step == "watch":
            await story.under_way(2, "shadow")
            await story.compare("shadow")
        await story.assert_settled(2, outcome, active="2" if outcome == "promoted" else "1")
        assert why in await story.reason(2)
