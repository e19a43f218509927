"""What people see of an experiment while it goes on, on a terminal."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable

import pytest

from domain import experiment
from sagacity.cli.model_following import HowFar, Screen
from sagacity.cli.output import print_table

Shown = Callable[[Callable[[Screen], None]], str]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Shown:
    """What a terminal got to see."""

    def run(tell: Callable[[Screen], None]) -> str:
        terminal = Terminal()
        monkeypatch.setattr(sys, "stdout", terminal)
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", "150")
        with Screen(as_json=False) as screen:
            tell(screen)
        return terminal.getvalue()

    return run


def test_while_rows_are_waited_for_a_bar_shows_how_many_of_them_are_there(shown: Shown) -> None:
    seen = shown(lambda screen: screen.waiting("assemble: 12 of 50", HowFar(12, 50)))
    assert "━" in seen
    assert "12/50" in seen


def test_where_programs_read_each_number_of_rows_is_a_line_once(capsys: pytest.CaptureFixture[str]) -> None:
    with Screen(as_json=False) as screen:
        for _ in range(2):
            screen.waiting("assemble: 2 of 50", HowFar(2, 50))
        screen.waiting("assemble: 7 of 50", HowFar(7, 50))
    with Screen(as_json=True) as screen:
        screen.waiting("assemble: 9 of 50", HowFar(9, 50))
    assert [line.strip() for line in capsys.readouterr().out.splitlines()] == ["assemble: 2 of 50", "assemble: 7 of 50"]


def test_a_step_that_begins_is_not_told_twice(capsys: pytest.CaptureFixture[str]) -> None:
    began = experiment.StepStarted("train")
    with Screen(as_json=False) as screen:
        screen.event({"time": "2026-11-21T06:37:29Z"}, began)
        screen.waiting(began.step)
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_evidence_goes_on_up_to_as_many_labels_as_the_policy_allows(shown: Shown) -> None:
    seen = shown(lambda screen: screen.evidence("shadow: [green]better[/green]", HowFar(1_234, 5_000)))
    assert "━" in seen
    assert "1,234/5,000" in seen


def test_a_table_cuts_nothing_and_says_times_as_people_read_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On a narrow terminal; whoever reads it from a pipe gets the moment as it is."""
    terminal, id = Terminal(), "run-01a200e5237e710b9e7c5d2b1f0a4c3d"
    monkeypatch.setattr(sys, "stdout", terminal)
    for name, value in {"TERM": "dumb", "COLUMNS": "60", "TZ": "UTC"}.items():
        monkeypatch.setenv(name, value)
    print_table(("id", "at", "reason"), [(id, "2026-11-22T01:02:03.5Z", "there was nobody who could do it at all")])
    header, *lines = terminal.getvalue().splitlines()
    assert "…" not in terminal.getvalue()
    place = header.index("at")
    assert "".join(line[:place].strip() for line in lines) == id
    assert "11-22 01:02:03" in " ".join(line[place : header.index("reason")].strip() for line in lines)


def test_where_nobody_knows_how_long_it_takes_there_is_no_bar(shown: Shown) -> None:
    seen = shown(lambda screen: screen.waiting("train"))
    assert "train" in seen
    assert "━" not in seen
