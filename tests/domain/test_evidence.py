"""The e-values: what they are, checked by integration, exact enumeration and another library; and that they hold."""

import math

import numpy as np
import pytest
import ville
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import beta, binom

from domain.evidence import LEAST, first_reached, log_e_below, log_e_harmless, log_e_worse, log_mean

shares = st.floats(0.02, 0.98)


def _mixture(k: int, n: int, null: float, prior: tuple[float, float], low: float, high: float) -> float:
    """ln of the likelihood ratio of k in n, integrated over the prior cut to (low, high)."""

    def weighted(p: float) -> float:
        ratio = k * math.log(p / null) + (n - k) * math.log((1 - p) / (1 - null))
        return math.exp(ratio) * beta.pdf(p, *prior)

    mass = beta.cdf(high, *prior) - beta.cdf(low, *prior)
    return math.log(quad(weighted, low, high, epsabs=0, epsrel=1e-10, limit=400)[0] / mass)


@pytest.mark.parametrize(("k", "n"), [(0, 1), (1, 1), (3, 4), (13, 20), (40, 60), (5, 60), (0, 300)])
@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("margin", [1.0, 1.2])
def test_evidence_of_worse_is_the_likelihood_ratio_mixed_over_worse_shares(k: int, n: int, share: float, margin: float):
    null = share * margin / (share * margin + 1 - share)
    mixed = _mixture(k, n, null, (10 * share, 10 * (1 - share)), null, 1)
    assert float(log_e_worse(k, n, share, margin)) == pytest.approx(mixed, abs=1e-7)


@pytest.mark.parametrize(("k", "n"), [(0, 1), (1, 1), (13, 20), (5, 60)])
@pytest.mark.parametrize("share", [0.1, 0.5])
def test_evidence_of_harmless_is_the_likelihood_ratio_mixed_over_lower_shares(k: int, n: int, share: float):
    null = 2 * share / (2 * share + 1 - share)
    mixed = _mixture(k, n, null, (10 * share, 10 * (1 - share)), 0, null)
    assert float(log_e_harmless(k, n, share, 2.0)) == pytest.approx(mixed, abs=1e-7)


@pytest.mark.parametrize(("k", "n"), [(1, 400), (2, 300), (7, 400), (30, 1000)])
def test_evidence_of_below_is_the_likelihood_ratio_mixed_over_lower_rates(k: int, n: int):
    mixed = _mixture(k, n, 0.01, (0.5, 100.0), 0, 0.01)
    assert float(log_e_below(k, n, 0.01)) == pytest.approx(mixed, abs=1e-7)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5])
def test_worse_and_better_together_are_the_two_sided_test_of_another_library(share: float):
    """Cut at the null, the two halves of the prior weigh as much as the prior has on either side."""
    bad = np.random.default_rng(1).random(2_000) < 0.4
    theirs = ville.BernoulliTest(share, prior=(10 * share, 10 * (1 - share))).fit(bad.astype(int)).log_e_values_
    k, n = bad.cumsum(), np.arange(1, len(bad) + 1)
    above = float(beta.sf(share, 10 * share, 10 * (1 - share)))
    ours = log_mean([log_e_worse(k, n, share), log_e_harmless(k, n, share, 1.0)], [above, 1 - above])
    assert ours == pytest.approx(theirs, abs=1e-9)


@settings(deadline=None)
@given(n=st.integers(1, 60), share=shares, better=st.floats(0.05, 1))
def test_identical_or_better_canaries_have_one_or_less_on_average(n: int, share: float, better: float):
    k = np.arange(n + 1)
    part = share * better / (share * better + 1 - share)
    average = float(binom.pmf(k, n, part) @ np.exp(log_e_worse(k, n, share)))
    assert average <= 1 + 1e-9
    if better == 1:
        assert average == pytest.approx(1, abs=1e-9)


@settings(deadline=None)
@given(n=st.integers(1, 60), share=shares, harm=st.floats(1.1, 10), more=st.floats(1, 5))
def test_harmful_canaries_have_one_or_less_on_average(n: int, share: float, harm: float, more: float):
    k = np.arange(n + 1)
    part = share * harm * more / (share * harm * more + 1 - share)
    assert float(binom.pmf(k, n, part) @ np.exp(log_e_harmless(k, n, share, harm))) <= 1 + 1e-9


@settings(deadline=None)
@given(n=st.integers(1, 400), rate=st.floats(0.001, 0.4), more=st.floats(1, 2))
def test_rates_that_are_not_below_have_one_or_less_on_average(n: int, rate: float, more: float):
    k = np.arange(n + 1)
    assert float(binom.pmf(k, n, rate * more) @ np.exp(log_e_below(k, n, rate))) <= 1 + 1e-9


@settings(deadline=None)
@given(n=st.integers(1, 500), share=shares, seen=st.floats(0, 1))
def test_the_next_event_of_an_identical_canary_is_expected_to_change_nothing(n: int, share: float, seen: float):
    k = round(seen * n)
    now = float(log_e_worse(k, n, share))
    after = share * np.exp(log_e_worse(k + 1, n + 1, share) - now) + (1 - share) * np.exp(
        log_e_worse(k, n + 1, share) - now
    )
    assert float(after) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
def test_looking_after_every_event_exceeds_twenty_in_at_most_one_of_twenty_runs(share: float):
    """Exact: the chances of all counts that have not exceeded it yet, event by event."""
    alive, exceeded = np.array([1.0]), 0.0
    for n in range(1, 601):
        alive = np.append(alive * (1 - share), 0) + np.append(0, alive * share)
        over = log_e_worse(np.arange(n + 1), n, share) >= math.log(20)
        exceeded += float(alive[over].sum())
        alive[over] = 0
    assert 0.01 < exceeded <= 0.05


@pytest.mark.parametrize("n", [5, 100, 5_000])
@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
def test_more_bad_events_on_the_canary_are_more_evidence_of_worse_and_less_of_harmless(n: int, share: float):
    k = np.arange(n + 1)
    assert np.all(np.diff(log_e_worse(k, n, share)) > 0)
    assert np.all(np.diff(log_e_harmless(k, n, share, 2.0)) < 0)


@pytest.mark.parametrize(("k", "n"), [(0, 3), (1, 1), (12, 20), (60, 240), (130, 240)])
def test_the_more_requests_the_canary_got_the_less_its_bad_events_prove(k: int, n: int):
    assert np.all(np.diff(log_e_worse(k, n, np.linspace(0.005, 0.995, 500))) < 0)


def test_more_bad_events_are_less_evidence_of_a_low_rate():
    assert np.all(np.diff(log_e_below(np.arange(2_001), 2_000, 0.005)) < 0)


counts = st.integers(0, 10**12)


@settings(deadline=None)
@given(
    bad=counts,
    part=st.one_of(st.floats(0, 1), st.sampled_from([0.0, 1e-9, 0.5, 1.0])),
    share=st.one_of(st.floats(0, 1), st.sampled_from([0.0, 1e-12, 1e-6, 0.5, 1 - 1e-6, 1.0])),
    margin=st.floats(0.01, 100),
)
def test_no_count_makes_it_anything_but_a_number(bad: int, part: float, share: float, margin: float):
    k = int(part * bad)
    for log_e in (log_e_worse(k, bad, share, margin), log_e_harmless(k, bad, share, margin)):
        assert math.isfinite(float(log_e))
        assert float(log_e) >= LEAST


@settings(deadline=None)
@given(bad=counts, good=counts, rate=st.floats(1e-6, 0.5))
def test_no_count_makes_the_evidence_of_a_low_rate_anything_but_a_number(bad: int, good: int, rate: float):
    log_e = float(log_e_below(bad, bad + good, rate))
    assert math.isfinite(log_e)
    assert log_e >= LEAST


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_requests_on_one_arm_alone_are_no_evidence(share: float):
    assert float(log_e_worse(7, 7, share)) == 0
    assert float(log_e_harmless(7, 7, share, 2.0)) == 0


def test_no_event_is_no_evidence_of_a_difference():
    assert float(log_e_worse(0, 0, 0.5)) == 0
    assert float(log_e_harmless(0, 0, 0.5, 2.0)) == 0
    assert float(log_e_below(0, 0, 0.01)) == 0


def test_no_bad_event_in_many_requests_is_evidence_of_a_low_rate():
    assert float(log_e_below(0, 2_000, 0.005)) > math.log(1_000)


def test_arrays_give_what_their_numbers_give():
    k, n = np.array([0, 3, 9, 0]), np.array([1, 4, 9, 90_000])
    together = log_e_worse(k, n, 0.3)
    assert list(together) == [float(log_e_worse(*pair, 0.3)) for pair in zip(k, n, strict=True)]


def test_the_mean_is_of_the_e_values_not_of_their_logarithms():
    mean = float(log_mean([math.log(8), math.log(2)], [1, 3]))
    assert mean == pytest.approx(math.log((8 + 3 * 2) / 4))
    assert float(log_mean([5_000.0, -700.0], [1, 1])) == pytest.approx(5_000 - math.log(2))


@pytest.mark.parametrize("least", [1, 2, 3, 65, 100, 4_097, 1_000_000])
def test_the_first_number_that_reaches_it_is_found_to_a_percent(least: int):
    found = first_reached(lambda tried: tried >= least, 1 << 20)
    assert found is not None
    assert least <= found <= least * 1.01


def test_what_no_number_reaches_has_none():
    assert first_reached(lambda tried: tried > 1e9, 1 << 20) is None
