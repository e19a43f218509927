"""Plots of a model's course: what is in the picture, and that it is drawn, as PNG and in a terminal."""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime, timedelta

import pytest
from PIL import Image

from domain import experiment, model, monitor
from domain.drift import FeatureWindow, Thresholds, Verdict, Window
from domain.model import Holdout
from domain.model_policy import ModelPolicy, Monitoring
from domain.pipeline import Pipeline
from sagacity.plotting import png, terminal
from sagacity.plotting.course import Event, Told, picture_of
from sagacity.plotting.picture import MOST_LINES, Counted, Line, Mark, Metric, Panel, Picture, foremost, rate

BEGIN = datetime(2026, 11, 21, 14, tzinfo=UTC)


def at(second: float) -> datetime:
    return BEGIN + timedelta(seconds=second)


def told(second: float, event: Event) -> Told:
    return Told(at(second), event)


def outcomes(number: int, rows: int, wrong: int) -> monitor.OutcomesObserved:
    return monitor.OutcomesObserved(number, "1", number, rows, wrong, rows, 0, None)


def inputs(number: int, **effects: float) -> monitor.InputsObserved:
    """A window with a p-value of one percent of what is left of each effect to 1."""
    found = {name: FeatureWindow("ks", 0.1, (1 - effect) / 100, effect) for name, effect in effects.items()}
    window = Window(number, 100 * number, 100, found)
    return monitor.InputsObserved(number, "1", number, number, 100, None, (window,))


def judged(number: int, observation: int, kind: str, feature: str) -> monitor.Judged:
    method = "e-detector" if kind == "errors" else "ks"
    verdict = Verdict(kind, feature, method, 98, 11.8, 11.0, {})  # pyright: ignore[reportArgumentType]
    return monitor.Judged(number, "1", observation, verdict, "drift/1")


def began(version: str, rows: int, wrong: int) -> monitor.Began:
    thresholds = Thresholds(30_000, 60_000, 0.0003, 0.001)
    return monitor.Began(version, "a" * 64, Holdout(rows, wrong), Monitoring(), thresholds, "drift/1", 0)


def training(model_id: str, version: str) -> experiment.Requested:
    return experiment.Requested(
        model_id, version, "drift", "", (), "label", Pipeline(), 0, ModelPolicy(), None, None, 0
    )


COURSE = (
    told(0, model.Promoted("1", None, "m-1", "")),
    told(0.5, began("1", 100, 5)),
    told(1, outcomes(1, 50, 2)),
    told(2, inputs(1, red=0.001, blue=0.002)),
    told(3, outcomes(2, 50, 20)),
    told(4, inputs(2, red=0.4, blue=0.3)),
    told(4, judged(1, 2, "feature", "red")),
    told(4, judged(2, 2, "feature", "blue")),
    told(5, outcomes(3, 50, 21)),
    told(5, judged(3, 3, "errors", "")),
    told(6, training("m", "2")),
    told(6.5, judged(4, 4, "errors", "")),
    told(6.6, judged(5, 3, "feature", "blue")),
    told(7, model.Promoted("2", "1", None, "enough")),
    told(8, outcomes(4, 50, 3)),
    told(9, model.RolledBack("1", "2", None, "complaints")),
    told(10, experiment.Concluded("discarded", "proven worse")),
)


class TestTheErrorRate:
    def test_is_that_of_the_latest_rows(self) -> None:
        line = rate("error rate", [Counted(at(1), 50, 0), Counted(at(2), 50, 10), Counted(at(3), 50, 20)], 100)
        assert line == Line("error rate", (at(1), at(2), at(3)), (0.0, 0.1, 0.3))

    def test_is_of_a_few_rows_more_where_they_came_together(self) -> None:
        assert rate("", [Counted(at(1), 60, 6), Counted(at(2), 60, 12)], 100).values == (0.1, 0.15)

    def test_has_no_value_where_no_label_came(self) -> None:
        assert rate("", [Counted(at(1), 0, 0), Counted(at(2), 10, 1)], 100).times == (at(2),)


class TestThePicture:
    def test_has_a_panel_for_each_metric(self) -> None:
        picture = picture_of("m", COURSE, ("error_rate", "psi", "p_value"), 100)
        errors, psi, p_value = picture.panels
        assert errors.lines[0].values == pytest.approx((0.04, 0.22, 0.41, 0.24))
        assert errors.lines[1] == Line("on the rows held out", (at(0.5), at(10)), (0.05, 0.05))
        assert p_value.limit == (0.001, "above this, no alarm")
        assert [(line.name, line.values) for line in psi.lines] == [("red", (0.001, 0.4)), ("blue", (0.002, 0.3))]
        assert [line.values[1] for line in p_value.lines] == pytest.approx([0.006, 0.007])

    def test_marks_what_happened_where_it_matters(self) -> None:
        """Drift of errors beside the errors, drift of inputs beside the inputs, all else in both; an alarm that sounds
        again is marked once."""
        picture = picture_of("m", COURSE, ("error_rate", "psi"), 100)
        kinds = [[mark.kind for mark in picture.marks_in(panel)] for panel in picture.panels]
        assert kinds == [
            ["promoted", "error_drift", "training", "promoted", "rolled_back", "discarded"],
            ["promoted", "input_drift", "training", "promoted", "rolled_back", "discarded"],
        ]

    def test_says_what_the_marks_are(self) -> None:
        texts = [mark.text for mark in picture_of("m", COURSE, ("error_rate", "psi"), 100).shown]
        assert texts == [
            "version 1 is promoted, by m-1",
            "drift of red, blue, version 1",
            "drift of errors, version 1: e-detector after 98 rows, ln e 11.8 (alarm at 11.0)",
            "training of version 2 begins, by drift",
            "version 2 is promoted, by hand: enough",
            "version 2 is rolled back, back to version 1: complaints",
            "a version is discarded: proven worse",
        ]

    def test_shows_the_foremost_lines_only(self) -> None:
        lines = [Line(str(number), (at(1),), (float(number),)) for number in range(20)]
        assert [line.name for line in foremost(lines, max)] == [str(19 - number) for number in range(MOST_LINES)]

    def test_without_any_event_has_nothing_to_show(self) -> None:
        picture = picture_of("m", (), ("error_rate",), 100)
        assert picture.span is None
        for draw in (png.draw, lambda nothing: terminal.draw(nothing, width=80, height=10)):
            with pytest.raises(ValueError, match="nothing to draw"):
                draw(picture)


def colours_of(image: bytes) -> set[tuple[int, ...]]:
    drawn = Image.open(io.BytesIO(image)).convert("RGB")
    return {colour for _, colour in drawn.getcolors(1 << 20) or [] if isinstance(colour, tuple)}


def is_reddish(colour: tuple[int, ...]) -> bool:
    return colour[0] > 200 and colour[1] < 120 and abs(colour[1] - colour[2]) < 30


class TestThePng:
    def test_is_small_and_the_same_for_the_same_picture(self) -> None:
        picture = picture_of("m", COURSE, ("error_rate", "psi"), 100)
        image = png.draw(picture)
        assert image == png.draw(picture)
        assert Image.open(io.BytesIO(image)).size == (800, 540)
        assert len(image) < 60_000

    def test_shows_drift_in_red_where_there_is_any(self) -> None:
        quiet = [each for each in COURSE if not isinstance(each.event, monitor.Judged)]
        found = [
            any(map(is_reddish, colours_of(png.draw(picture_of("m", course, ("error_rate",), 100)))))
            for course in (quiet, COURSE)
        ]
        assert found == [False, True]


COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class TestTheTerminal:
    def test_is_as_wide_and_high_as_asked_for(self) -> None:
        picture = picture_of("m", COURSE, ("error_rate",), 100)
        shown = COLOUR.sub("", terminal.draw(picture, width=90, height=12)).splitlines()
        assert shown[0] == "m"
        assert [len(line) for line in shown[1:13]] == [90] * 12
        assert shown[13:15] == ["⠒⠒ in production", "⠒⠒ on the rows held out"]

    def test_draws_every_kind_of_mark_with_a_sign_of_its_own(self) -> None:
        shown = COLOUR.sub("", terminal.draw(picture_of("m", COURSE, ("error_rate", "psi"), 100), width=90, height=12))
        errors, psi = shown.split("windows of inputs")
        canvas = [line[4:-1] for line in errors.splitlines()[3:11]]
        assert {sign for sign in "┊│┃║╎" if any(sign in line for line in canvas)} == set("┊│┃║╎")
        assert "⠒⠒ red\n" in psi

    def test_says_what_a_limit_means(self) -> None:
        shown = terminal.draw(picture_of("m", COURSE, ("p_value",), 100), width=90, height=12)
        assert "┈┈ above this, no alarm\n" in shown

    @pytest.mark.parametrize("metric", ["error_rate", "psi", "p_value"])
    def test_draws_a_single_moment(self, metric: Metric) -> None:
        course = (told(1, outcomes(1, 10, 0)), told(1, inputs(1, red=0.0)))
        assert "14:00:01" in terminal.draw(picture_of("m", course, (metric,), 100), width=60, height=10)
        assert png.draw(picture_of("m", course, (metric,), 100)).startswith(b"\x89PNG")

    def test_draws_marks_without_any_line(self) -> None:
        mark = Mark(at(1), "promoted", "version 1 is promoted")
        picture = Picture("m", (Panel("empty", (), marks=("promoted",)),), (mark,))
        assert "version 1 is promoted" in terminal.draw(picture, width=60, height=10)
        assert png.draw(picture).startswith(b"\x89PNG")
