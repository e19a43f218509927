"""Where documents contradict each other, one table says what counts, and how it is known."""

import re
from pathlib import Path

import pytest

from api.metrics import REGISTRY
from domain.objectives import CHOICES, OBJECTIVES

ROOT = Path(__file__).parents[2]

LATENCY_AND_THROUGHPUT = {"B39", "C56", "B41", "C57", "B40", "B48"}
MODELS = {"B45", "B46", "C60", "B49", "B50", "C61", "C62"}
ALARMS = {"B51", "C64", "E105", "D99", "B52", "C65", "E106", "D100"}
CACHES = {"D77", "D78", "D79", "E50", "E51", "E52"}
SECRETS_DATABASES_TRANSPORTS = {"C15", "C51", "D25", "D26", "D27", "D64", "E27", "E28", "E29", "E38", "E76"}
NAMED = LATENCY_AND_THROUGHPUT | MODELS | ALARMS | CACHES | SECRETS_DATABASES_TRANSPORTS
"""The rows that contradict each other, as the ledger of requirements has them, and the other objectives of models."""


def ids(text):
    """Of docs/requirements.md, with those that lie between the two of a range."""
    found = set()
    for letter, first, last in re.findall(r"\b([A-E])(\d+)(?:-[A-E]?(\d+))?", text):
        found |= {f"{letter}{number}" for number in range(int(first), int(last or first) + 1)}
    return found


def test_every_row_is_decided():
    asked = {row for objective in OBJECTIVES for each in objective.asked for row in each.rows}
    chosen = {row for choice in CHOICES for row in choice.rows}
    assert asked | chosen == NAMED
    assert asked | chosen <= ids((ROOT / "docs" / "requirements.md").read_text())


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda each: each.name)
def test_the_strictest_value_comes_first_and_counts(objective):
    for statistic, value in objective.in_force.items():
        values = [each.value for each in objective.asked if each.statistic == statistic]
        assert values == sorted(set(values), reverse=objective.better == "higher")
        assert value == values[0]


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda each: each.name)
def test_an_objective_is_measured_or_says_why_not(objective):
    assert bool(objective.measured_by) != bool(objective.unmeasured)
    metrics = {family.name for family in REGISTRY.collect()}
    for source in objective.measured_by:
        assert source in metrics or (ROOT / source).is_file(), source
