"""The rules that an observer goes by, on plain data: what it hears of a model, when it asks for a training, which
labels count, and what is observed together."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from msgspec import structs

from domain import model, monitor
from domain.drift import FeatureWindow, Verdict, Window
from domain.model import Holdout
from domain.model_policy import ModelPolicy, Monitoring, Training
from domain.monitor import Label
from domain.pipeline import Feature, Pipeline
from eventstore.envelope import Envelope, Recorded
from models.observe import observations
from models.observe.asking import due, later, wanted
from models.observe.following import Followed, Moment, follow
from models.observe.grouping import grouped
from models.observe.joining import Given, Remembered, join
from models.observe.observations import Answers
from models.observe.observed import ACTIVE, OTHER
from models.serve.predictions import PredictionBatch

START = datetime(2026, 11, 1, tzinfo=UTC)
FEATURES = (Feature("age"), Feature("city", "category"))
POLICY = ModelPolicy(monitoring=Monitoring(retrain_on=("errors", "predictions")), retrain_every=3_600)
REGISTERED = model.Registered("M", FEATURES, "leaves", None, "", Pipeline(), POLICY)
ADDED = model.VersionAdded("1", "m-1", "a" * 64, "d", "c" * 64, 100, ("no", "yes"), {}, Holdout(50, 5))
IN_USE = (
    REGISTERED,
    model.TrainingReserved("m-1", "1"),
    ADDED,
    model.TrainingReleased("m-1"),
    model.Promoted("1", None, None, ""),
)


def told(*events: model.Event, begun_by: str = "somebody") -> Followed:
    """One an hour, each at ten times its version; trainings are begun by a command of that id."""
    followed = Followed()
    for version, event in enumerate(events, 1):
        envelope = Envelope(
            specversion="1.0", id="e", source="s", type="t", time=hour(version), datacontenttype="j", stream="model/m",
            streamversion=version, correlationid="c", actor="a", data=b"", causationid=begun_by,
        )  # fmt: skip
        followed = follow(followed, Recorded(10 * version, envelope, b""), event)
    return followed


def hour(number: float) -> datetime:
    return START + timedelta(hours=number)


def moment(version: int) -> Moment:
    return Moment(version, 10 * version, hour(version))


def test_nothing_is_watched_before_a_version_is_in_use():
    assert told(*IN_USE[:4]).known is None
    assert told(*IN_USE[:4]).turn is None
    assert told(*IN_USE).turn == moment(5)
    assert told(*IN_USE, model.RolledBack(None, "1", None, "")).known is None


@pytest.mark.parametrize(
    ("event", "turns"),
    [
        (model.Promoted("2", "1", None, ""), True),
        (model.RolledBack("1", "2", None, ""), True),
        (model.Configured(Pipeline(), structs.replace(POLICY, monitoring=Monitoring(window=70))), True),
        (model.Configured(Pipeline(), structs.replace(POLICY, training=Training(rows=70))), False),
        (model.TrainingReserved("m-2", "2"), False),
        (model.ComparisonStarted("m-2", "shadow", "2", "1"), False),
    ],
)
def test_it_is_watched_anew_when_another_version_comes_into_use_or_it_is_to_be_watched_otherwise(event, turns):
    assert (told(*IN_USE, event).turn == moment(6)) is turns


def test_a_comparison_counts_from_its_beginning_to_its_end():
    started = model.ComparisonStarted("m-2", "shadow", "2", "1")
    assert told(*IN_USE, started).comparing == moment(6)
    assert told(*IN_USE, started, model.ComparisonEnded("m-2")).comparing is None


def judged(kind="errors", *, version="1", number=7, observation=3) -> monitor.Judged:
    details = {"rows": 80.0, "wrong": 31.0, "holdout_rows": 50.0, "holdout_wrong": 5.0}
    feature = "" if kind == "errors" else "age"
    verdict = Verdict(kind, feature, "e-detector" if kind == "errors" else "ks", 80, 0.000123456, 0.01, details)
    return monitor.Judged(number, version, observation, verdict, "drift/1")


def test_drift_asks_for_a_training_where_the_policy_says_so():
    (asked,) = wanted("m", told(*IN_USE), judged(), hour(5))
    reason = "errors: 31 of the last 80 labelled rows wrong, 10.0% of the holdout were"
    assert asked == ("drift-m-7-2", model.AskForTraining("drift", reason))
    (asked,) = wanted("m", told(*IN_USE), judged("prediction"), hour(5))
    assert asked.command.reason == "drift of the predictions at row 80 (ks: 0.000123 beyond 0.01)"
    assert wanted("m", told(*IN_USE), judged("feature"), hour(5)) == ()


def test_drift_of_a_version_that_is_in_use_no_more_asks_for_nothing():
    assert wanted("m", told(*IN_USE), judged(version="2"), hour(5)) == ()
    assert wanted("m", told(*IN_USE, model.RolledBack(None, "1", None, "")), judged(), hour(5)) == ()


def test_drift_during_a_training_asks_once_it_has_ended():
    """The id differs from the one that was refused, if this observer had not heard of that training."""
    during = (*IN_USE, model.TrainingReserved("m-2", "2"))
    assert wanted("m", told(*during), judged(), hour(5)) == ()
    ended = (*during, model.TrainingReleased("m-2"))
    (asked,) = wanted("m", told(*ended), judged(), hour(5))
    assert (asked.id, asked.command.trigger) == ("drift-m-7-3", "drift")
    promoted = (*during, model.Promoted("2", "1", "m-2", ""), model.TrainingReleased("m-2"))
    assert wanted("m", told(*promoted), judged(), hour(5)) == (), "it was about another version"


def test_drift_that_a_training_was_begun_by_asks_no_more_whatever_became_of_it():
    """Also after a restart: the model's events tell."""
    ended = (*IN_USE, model.TrainingReserved("m-2", "2"), model.TrainingReleased("m-2"))
    followed = told(*ended, begun_by="drift-m-7-2")
    assert wanted("m", followed, judged(), hour(5)) == ()
    assert [each.id for each in wanted("m", followed, judged(number=70), hour(5))] == ["drift-m-70-3"]


def test_of_one_observation_the_first_verdict_asks_for_all():
    assert later(judged(), None)
    assert not later(judged(number=8), judged())
    assert later(judged("feature", number=8), judged()), "inputs and outcomes are numbered apart"
    assert later(judged(number=8, observation=4), judged())
    assert not later(judged(number=6, observation=2), judged())


def test_the_schedule_counts_from_the_last_training_or_change_of_version():
    assert wanted("m", told(*IN_USE), None, hour(5.9)) == ()
    (asked,) = wanted("m", told(*IN_USE), None, hour(6))
    assert asked == ("schedule-m-5", model.AskForTraining("schedule", "3600 s after 2026-11-01 05:00:00 UTC"))
    reserved = (*IN_USE, model.TrainingReserved("m-2", "2"))
    assert due(told(*reserved)) is None, "a training is under way"
    assert due(told(*reserved, model.TrainingReleased("m-2"))) == hour(8)
    assert due(told(*reserved, model.TrainingReleased("m-2"), model.Promoted("2", "1", None, ""))) == hour(9)
    without = model.Configured(Pipeline(), structs.replace(POLICY, retrain_every=None))
    assert due(told(*IN_USE, without)) is None


def batch(id: str, rows: int) -> PredictionBatch:
    values = [[float(row), "oslo"] for row in range(rows)]
    return PredictionBatch(id, "m", "1", START, values, ["yes"] * rows, [0.9] * rows)


BATCHES = {each.id: each for each in (batch("b1", 3), batch("b2", 40))}


async def find(id: str) -> PredictionBatch | None:
    return BATCHES.get(id)


def given(*predictions: str, label: str = "yes") -> list[Given]:
    return [Given(number, Label(each, label)) for number, each in enumerate(predictions, 1)]


async def test_labels_find_their_predictions_in_the_order_in_which_they_came():
    joined = await join(given("b2.39", "b1.0", "b2.0"), find, Remembered())
    assert [(each.id, each.row, each.position) for each in joined.rows] == [
        ("b2.39", 39, 1),
        ("b1.0", 0, 2),
        ("b2.0", 0, 3),
    ]
    assert joined.unmatched == 0


async def test_a_second_label_and_one_for_nothing_are_counted_only():
    remembered = Remembered(["b1.2"])
    joined = await join(given("b1.0", "b1.0", "b1.00", "b1.2", "b1.3", "b9.0"), find, remembered)
    assert ([each.id for each in joined.rows], joined.unmatched) == (["b1.0"], 5)
    assert (await join(given("b1.0", "b1.1"), find, remembered)).unmatched == 1


async def test_nothing_is_remembered_when_predictions_could_not_be_read():
    async def away(id: str) -> PredictionBatch | None:
        raise ConnectionError

    remembered = Remembered()
    with pytest.raises(ConnectionError):
        await join(given("b1.0"), away, remembered)
    assert len((await join(given("b1.0"), find, remembered)).rows) == 1


def test_only_so_many_are_remembered():
    remembered = Remembered(["a.0", "b.0", "c.0"], most=2)
    assert [remembered.is_new(id) for id in ("b.0", "c.0", "a.0", "b.0")] == [False, False, True, True]


async def test_pairs_are_of_the_rows_on_which_both_were_asked():
    rows = (await join([*given("b2.0", "b2.1", "b2.2", "b2.3"), *given("b1.0", label="no")], find, Remembered())).rows
    answers = Answers(["yes", "yes", "no", None, "no"], ["yes", "no", "yes", None, "yes"])
    table = observations.of_outcomes(rows, FEATURES, answers)
    pairs = observations.pairs_in(table.columns)
    assert (pairs.both, pairs.active_only, pairs.other_only, pairs.neither) == (1, 2, 1, 0)
    assert table.columns[ACTIVE] == ["yes", "yes", "no", None, "no"]
    assert table.columns[OTHER][3] is None
    assert observations.wrong_in(table.columns, "1") == [False, False, False, False, True]
    assert observations.wrong_in(table.columns, "2") == []
    assert observations.pairs_in(observations.of_outcomes(rows, FEATURES, None).columns).rows == 0


def test_an_observation_holds_so_many_verdicts_and_the_first_of_each_kind():
    """The first is what asks for a training; thousands could not be written at once."""
    errors = [structs.replace(judged().verdict, at=at) for at in range(300)]
    late = judged("prediction").verdict
    kept = observations.recorded_verdicts([*errors, late, late])
    assert kept == (*errors[:100], late)
    assert observations.recorded_verdicts(errors[:3]) == tuple(errors[:3])


def test_windows_of_very_many_columns_hold_those_that_have_changed_most():
    columns = {f"c{number}": FeatureWindow("ks", 0.1, number / 4_000, 0.0) for number in reversed(range(4_000))}
    few = Window(1, 50, 50, dict(list(columns.items())[:9]))
    assert observations.recorded_windows([few]) == (few,)
    two = observations.recorded_windows([Window(number, 50 * number, 50, columns) for number in (1, 2)])
    assert [list(window.features) for window in two] == [[f"c{number}" for number in range(2_500)]] * 2


class Items:
    """Numbers that come when the test says so."""

    def __init__(self) -> None:
        self.coming: asyncio.Queue[int | Exception] = asyncio.Queue()
        self.closed = False

    async def __call__(self):
        try:
            while True:
                item = await self.coming.get()
                if isinstance(item, Exception):
                    raise item
                yield item
        finally:
            self.closed = True

    def come(self, *items) -> None:
        for item in items:
            self.coming.put_nowait(item)


async def test_what_comes_within_the_time_is_taken_together_and_nothing_is_lost():
    items = Items()
    groups = grouped(items(), lambda item: 1, 3, lambda: 0.05)
    items.come(1, 2, 3, 4)
    async with asyncio.timeout(10):
        assert [await anext(groups), await anext(groups)] == [[1, 2, 3], [4]]
        next_one = asyncio.ensure_future(anext(groups))
        await asyncio.sleep(0.12)
        assert not next_one.done(), "there are no empty groups"
        items.come(5)
        assert await next_one == [5]
        await groups.aclose()
    assert items.closed


async def test_sizes_end_a_group():
    items = Items()
    groups = grouped(items(), lambda item: item, 10, lambda: 5.0)
    items.come(4, 7, 30, 1)
    async with asyncio.timeout(4):
        assert [await anext(groups), await anext(groups)] == [[4, 7], [30]]
        await groups.aclose()


async def test_a_fault_of_the_source_is_raised():
    items = Items()
    items.come(1, ConnectionError("gone"))
    groups = grouped(items(), lambda item: 1, 3, lambda: 0.01)
    with pytest.raises(ConnectionError, match="gone"):
        await asyncio.wait_for(anext(groups), 10)
    assert items.closed
