"""The gate between two models: pairs of answers in, a judgement out."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.gate import Judgement, Pairs, in_words, judge

counts = st.integers(0, 400)
pairs = st.builds(Pairs, counts, counts, counts, counts)
odds = st.floats(1.0000001, 1e6)


def test_twenty_rows_that_only_the_other_one_gets_right_prove_it_better():
    assert judge(Pairs(other_only=20), 20).decision == "better"
    assert judge(Pairs(active_only=20), 20).decision == "worse"


def test_what_both_or_neither_get_right_says_nothing():
    few = judge(Pairs(active_only=3, other_only=9), 20)
    many = judge(Pairs(both=10_000, active_only=3, other_only=9, neither=500), 20)
    assert (many.log_e_better, many.log_e_worse) == (few.log_e_better, few.log_e_worse)
    assert many.decision == few.decision == "undecided"


@pytest.mark.parametrize("least", [1.0000001, 1.5, 20])
def test_nothing_is_decided_by_no_rows(least):
    assert judge(Pairs(), least) == Judgement("undecided", 0.0, 0.0, least, Pairs())
    assert judge(Pairs(both=50, neither=2), least).decision == "undecided"


def test_it_decides_as_soon_as_the_evidence_reaches_the_odds_and_not_before():
    first = next(n for n in range(1, 50) if judge(Pairs(other_only=n), 20).decision == "better")
    assert judge(Pairs(other_only=first), 20).log_e_better >= math.log(20)
    assert judge(Pairs(other_only=first - 1), 20).log_e_better < math.log(20)


@given(pairs, odds)
def test_what_is_better_of_the_one_is_worse_of_the_other(seen, needed):
    mirrored = Pairs(seen.both, seen.other_only, seen.active_only, seen.neither)
    mine, other = judge(seen, needed), judge(mirrored, needed)
    assert (mine.log_e_better, mine.log_e_worse) == (other.log_e_worse, other.log_e_better)
    opposite = {"better": "worse", "worse": "better", "undecided": "undecided"}
    assert other.decision == opposite[mine.decision]


@given(pairs, odds)
def test_it_is_never_better_and_worse_at_once(seen, needed):
    judgement = judge(seen, needed)
    assert min(judgement.log_e_better, judgement.log_e_worse) <= 0


@given(pairs, odds, odds)
def test_what_is_decided_at_high_odds_is_decided_the_same_at_lower_ones(seen, one, another):
    strict, lax = judge(seen, max(one, another)), judge(seen, min(one, another))
    assert strict.decision in ("undecided", lax.decision)


@given(pairs, pairs)
def test_pairs_add_up(one, more):
    assert (one + more).rows == one.rows + more.rows
    assert one + more == more + one
    assert one + Pairs() == one


def test_an_equal_challenger_is_let_through_at_most_as_often_as_the_odds_allow():
    """Looked at after every row of 2,000 runs: Ville's inequality allows 1 in 20."""
    rng = np.random.default_rng(20261121)
    runs = 2_000
    better = np.cumsum(rng.integers(0, 2, (runs, 200)), axis=1)
    promoted = 0
    evidence = {}
    for run in better:
        for rows, other_only in enumerate(run.tolist(), 1):
            seen = Pairs(active_only=rows - other_only, other_only=other_only)
            decision = evidence.get(seen) or evidence.setdefault(seen, judge(seen, 20).decision)
            if decision == "better":
                promoted += 1
                break
    assert 0 < promoted <= runs / 20


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (Pairs(5, 0, 20, 5), "proven better: alone right on 20 of 30 rows, the one in use on 0; evidence "),
        (Pairs(5, 20, 0, 5), "proven worse: alone right on 0 of 30 rows, the one in use on 20; evidence "),
        (Pairs(5, 1, 2), "undecided: alone right on 2 of 8 rows, the one in use on 1; evidence "),
    ],
)
def test_a_judgement_in_words(seen, words):
    assert in_words(judge(seen, 20)).startswith(words)
