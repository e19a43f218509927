"""Given what was counted of both arms, when it is judged, then the verdict, with everything that it came from."""

import math
from statistics import NormalDist

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.analysis import (
    Analysis,
    Evidence,
    Judgement,
    Metric,
    PrometheusCounters,
    faults,
    judge,
    measure,
    observe,
    recompute,
)
from domain.measurement import Counts, Latency, Sample, bucket_of

errors_only = Analysis(latency_quantiles=())
latency_only = Analysis(errors=False)
orders = Analysis(errors=False, latency_quantiles=(), measurements=(Metric("orders"),))


def counts(requests: int, bad: int = 0, latency: Latency | None = None) -> Counts:
    return Counts(requests, bad, bad, latency or {})


def watched(analysis: Analysis, canary: Counts, baseline: Counts, intervals: int = 1, share: float = 0.5) -> Evidence:
    evidence = Evidence()
    for _ in range(intervals):
        evidence = observe(evidence, analysis, share, canary, baseline)
    return evidence


def until_decided(analysis: Analysis, canary: Counts, baseline: Counts, share: float = 0.5) -> tuple[Judgement, int]:
    """The verdict and the requests that the canary had got by then."""
    evidence = Evidence()
    for interval in range(1, 1_000):
        evidence = observe(evidence, analysis, share, canary, baseline)
        verdict = judge(evidence, analysis)
        if verdict.decision != "undecided":
            return verdict, interval * canary.requests
    raise AssertionError("nothing was decided")


def answers(median: float, requests: int = 100) -> Latency:
    """Log-normal, as evenly spread as a sample can be."""
    latency: Latency = {}
    for part in range(requests):
        quantile = (part + 0.5) / requests
        bucket = bucket_of(median * math.exp(0.6 * NormalDist().inv_cdf(quantile)))
        latency[bucket] = latency.get(bucket, 0) + 1
    return latency


def test_without_data_nothing_is_decided_and_a_number_is_needed():
    verdict = judge(Evidence(), Analysis())
    assert verdict.decision == "undecided"
    assert (verdict.log_e_worse, verdict.log_e_harmless) == (0, 0)
    assert verdict.needs is not None
    assert verdict.needs > 1_000
    assert [test.metric for test in verdict.tests] == ["errors", "latency p50", "latency p90", "latency p99"]


def test_intervals_without_requests_are_no_data():
    assert watched(errors_only, counts(0), counts(0), 50).segments["errors"] == ()


@pytest.mark.parametrize(("canary", "baseline"), [(1_000, 0), (0, 1_000)])
def test_an_arm_without_requests_never_lets_errors_of_the_other_decide(canary: int, baseline: int):
    evidence = watched(errors_only, counts(canary, canary // 2), counts(baseline, baseline // 2), 10)
    assert judge(evidence, errors_only).decision == "undecided"


def test_a_service_without_any_error_is_promoted_after_enough_requests():
    verdict, requests = until_decided(errors_only, counts(100), counts(100))
    assert verdict.decision == "promote"
    assert 1_000 < requests < 1_500


def test_the_number_needed_by_a_service_without_errors_is_where_it_is_promoted():
    needs = judge(watched(errors_only, counts(100), counts(100)), errors_only).needs
    assert needs is not None
    assert judge(watched(errors_only, counts(100 + needs), counts(100 + needs)), errors_only).decision == "promote"
    fewer = counts(100 + int(needs * 0.98))
    assert judge(watched(errors_only, fewer, fewer), errors_only).decision == "undecided"


def test_a_canary_that_always_fails_is_rolled_back_within_two_hundred_requests():
    """A hundred failures in a row are ten incidents; two metrics share the budget."""
    verdict, requests = until_decided(Analysis(), counts(20, 2), counts(20, 0))
    assert verdict.decision == "roll_back"
    assert verdict.needs == 0
    assert requests <= 200


def test_equal_arms_are_undecided_at_first_and_a_number_is_needed():
    verdict = judge(watched(errors_only, counts(500, 5), counts(500, 5)), errors_only)
    assert verdict.decision == "undecided"
    assert verdict.needs is not None
    assert 1_000 < verdict.needs < 3_000


def test_equal_arms_are_promoted_when_the_number_needed_is_over():
    needs = judge(watched(errors_only, counts(500, 5), counts(500, 5)), errors_only).needs
    assert needs is not None
    arm = counts(500 + needs, round((500 + needs) / 100))
    assert judge(watched(errors_only, arm, arm), errors_only).decision == "promote"


def test_a_fivefold_error_rate_is_rolled_back():
    verdict, requests = until_decided(errors_only, counts(100, 5), counts(100, 1))
    assert verdict.decision == "roll_back"
    assert requests <= 400


def test_a_doubled_error_rate_is_rolled_back():
    verdict, requests = until_decided(errors_only, counts(100, 2), counts(100, 1))
    assert verdict.decision == "roll_back"
    assert requests <= 2_400


def test_a_canary_may_be_slower_by_what_the_policy_tolerates():
    slower, usual = counts(100, latency=answers(0.07)), counts(100, latency=answers(0.05))
    tolerant = Analysis(errors=False, latency_quantiles=(0.5,), latency_tolerance=0.5)
    strict = Analysis(errors=False, latency_quantiles=(0.5,))
    assert until_decided(strict, slower, usual)[0].decision == "roll_back"
    assert until_decided(tolerant, slower, usual)[0].decision == "promote"


def test_a_canary_that_is_slower_but_never_wrong_is_rolled_back():
    slow, usual = counts(100, latency=answers(0.065)), counts(100, latency=answers(0.05))
    verdict, requests = until_decided(Analysis(), slow, usual)
    assert verdict.decision == "roll_back"
    assert requests <= 1_500
    assert verdict.tests[0].log_e_worse == 0


def test_answers_that_take_the_same_time_are_promoted():
    arm = counts(200, latency=answers(0.05, 200))
    verdict, _ = until_decided(latency_only, arm, arm)
    assert verdict.decision == "promote"


def test_a_spike_on_both_arms_is_no_evidence_that_the_canary_is_worse():
    before = judge(watched(errors_only, counts(1_000, 10), counts(1_000, 10)), errors_only)
    spike = observe(
        watched(errors_only, counts(1_000, 10), counts(1_000, 10)),
        errors_only,
        0.5,
        counts(100, 50),
        counts(100, 50),
    )
    assert judge(spike, errors_only).log_e_worse < before.log_e_worse


def test_rare_errors_below_what_is_negligible_are_promoted_though_they_doubled():
    verdict, _ = until_decided(errors_only, counts(10_000, 2), counts(10_000, 1))
    assert verdict.decision == "promote"


def test_the_threshold_of_slow_answers_comes_from_the_ten_intervals_before():
    evidence = watched(latency_only, counts(100, latency={70: 100}), counts(100, latency={70: 100}), 10)
    assert evidence.segments["latency p50"][-1].canary_bad == 0
    evidence = observe(evidence, latency_only, 0.5, counts(100, latency={80: 100}), counts(100, latency={80: 100}))
    (segment,) = evidence.segments["latency p50"]
    assert (segment.canary_bad, segment.baseline_bad) == (100, 100)
    for _ in range(10):
        evidence = observe(evidence, latency_only, 0.5, counts(100, latency={80: 1}), counts(100, latency={80: 100}))
    assert len(evidence.recent) == 10
    assert evidence.segments["latency p50"][-1].canary_bad < 110


def test_a_service_with_little_traffic_is_compared_with_as_many_intervals_as_make_fifty_answers():
    evidence = watched(latency_only, counts(2, latency={70: 2}), counts(2, latency={70: 2}), 40)
    assert len(evidence.recent) == 25
    assert evidence.segments["latency p50"][-1].baseline_requests == 2 * (40 - 25)


def test_idle_intervals_do_not_make_the_baseline_forgotten():
    busy = watched(latency_only, counts(100, latency={70: 100}), counts(100, latency={70: 100}))
    idle = busy
    for _ in range(20):
        idle = observe(idle, latency_only, 0.5, counts(0), counts(0))
    assert idle.recent == busy.recent


def test_latency_is_not_judged_before_the_baseline_has_given_fifty_answers():
    few = watched(latency_only, counts(100, latency={70: 100}), counts(49, latency={70: 49}), 2)
    assert few.segments.get("latency p50", ()) == ()
    enough = observe(few, latency_only, 0.5, counts(1, latency={90: 1}), counts(1, latency={70: 1}))
    assert enough.segments["latency p50"][-1].canary_bad == 1


def test_a_pause_that_slows_a_row_of_answers_counts_as_little_more_than_one_event():
    usual = {70: 98, 75: 2}
    evidence = watched(latency_only, counts(100, latency=usual), counts(100, latency=usual), 10)
    paused = observe(evidence, latency_only, 0.5, counts(100, latency={70: 60, 110: 40}), counts(100, latency=usual))
    verdict = judge(paused, latency_only)
    assert verdict.decision == "undecided"
    assert verdict.tests[2].dispersion > 10


def test_another_share_is_another_segment_and_evidence_of_both_is_multiplied():
    """Pooled, the canary would look worse: it got more of the traffic when both arms failed more often."""
    calm = watched(errors_only, counts(100, 1), counts(900, 9), share=0.1)
    evidence = observe(calm, errors_only, 0.5, counts(500, 50), counts(500, 50))
    verdict = judge(evidence, errors_only)
    assert [segment.expected_share for segment in verdict.tests[0].segments] == [0.1, 0.5]
    alone = [judge(calm, errors_only), judge(watched(errors_only, counts(500, 50), counts(500, 50)), errors_only)]
    assert verdict.log_e_worse == pytest.approx(sum(each.log_e_worse for each in alone), abs=1e-5)
    pooled = watched(errors_only, counts(600, 51), counts(1_400, 59))
    assert verdict.log_e_worse < 0
    assert judge(pooled, errors_only).decision == "roll_back"


def test_intervals_with_the_same_share_are_one_segment_also_when_another_came_between():
    evidence = Evidence()
    for share in (0.1, 0.5, 0.1):
        evidence = observe(evidence, errors_only, share, counts(10, 1), counts(90, 2))
    segments = evidence.segments["errors"]
    assert [(segment.expected_share, segment.canary_requests) for segment in segments] == [(0.5, 10), (0.1, 20)]


def test_the_observed_share_counts_not_the_declared_one():
    """Twice the declared requests make twice the errors, and are no evidence."""
    evidence = watched(errors_only, counts(2_000, 20), counts(8_000, 80), share=0.1)
    assert judge(evidence, errors_only).log_e_worse < 0


def test_a_custom_metric_decides():
    evidence = measure(Evidence(), orders, 0.5, "orders", Sample(1_000, 200), Sample(1_000, 0))
    for _ in range(20):
        evidence = measure(evidence, orders, 0.5, "orders", Sample(100, 10), Sample(100, 2))
    verdict = judge(evidence, orders)
    assert verdict.decision == "roll_back"
    assert [test.metric for test in verdict.tests] == ["orders"]


def test_a_metric_that_is_not_declared_changes_nothing():
    assert measure(Evidence(), orders, 0.5, "refunds", Sample(10, 10), Sample(10, 0)) == Evidence()


def test_one_metric_without_data_holds_the_promotion_but_not_the_rollback():
    both = Analysis(latency_quantiles=(), measurements=(Metric("orders"),))
    assert judge(watched(both, counts(5_000), counts(5_000)), both).decision == "undecided"
    assert judge(watched(both, counts(1_000, 50), counts(1_000, 5)), both).decision == "roll_back"


def test_metrics_share_the_budget():
    """With two metrics, evidence of one alone must be twice as strong."""
    both = Analysis(latency_quantiles=(), measurements=(Metric("orders"),))
    evidence = watched(errors_only, counts(1_000, 30), counts(1_000, 10))
    alone, shared = judge(evidence, errors_only), judge(evidence, both)
    expected = math.log((math.exp(alone.log_e_worse) + 1) / 2)
    assert shared.log_e_worse == pytest.approx(expected, abs=1e-5)


def test_a_larger_budget_demands_more_evidence():
    evidence = watched(errors_only, counts(1_000, 30), counts(1_000, 10))
    assert judge(evidence, errors_only).decision == "roll_back"
    strict = msgspec.structs.replace(errors_only, budget=10_000)
    assert judge(evidence, strict).decision == "undecided"


def test_what_sixteen_million_requests_do_not_decide_has_no_number():
    hair = Analysis(latency_quantiles=(), harm_ratio=1.001)
    verdict = judge(watched(hair, counts(1_000, 10), counts(1_000, 10)), hair)
    assert verdict.decision == "undecided"
    assert verdict.needs is None


def test_a_canary_that_is_to_get_no_requests_has_no_number():
    assert judge(watched(errors_only, counts(0), counts(100, 1), share=0.0), errors_only).needs is None


def test_another_policy_has_another_version():
    versions = {
        judge(Evidence(), analysis).policy_version for analysis in (Analysis(), Analysis(budget=21), errors_only)
    }
    assert len(versions) == 3
    assert judge(Evidence(), Analysis()).policy_version.startswith("conditional-binomial/1 ")


arm = st.integers(0, 5_000).flatmap(
    lambda requests: st.builds(
        Counts,
        st.just(requests),
        st.just(0),
        st.integers(0, requests // 2),
        st.dictionaries(st.integers(0, 160), st.integers(1, 1_000), max_size=4),
    )
)
looks = st.lists(st.tuples(st.sampled_from([0.05, 0.5]), arm, arm), max_size=6)


@settings(deadline=None, max_examples=25)
@given(looks=looks, budget=st.integers(2, 10_000), quantiles=st.sampled_from([(), (0.5,), (0.5, 0.9, 0.99)]))
def test_a_recorded_verdict_is_recomputed_bit_for_bit_from_what_it_carries(
    looks: list[tuple[float, Counts, Counts]], budget: int, quantiles: tuple[float, ...]
):
    analysis = Analysis(budget=budget, latency_quantiles=quantiles, measurements=(Metric("orders"),))
    evidence = Evidence()
    for share, canary, baseline in looks:
        evidence = observe(evidence, analysis, share, canary, baseline)
        orders = Sample(canary.requests, canary.incidents), Sample(baseline.requests, baseline.incidents)
        evidence = measure(evidence, analysis, share, "orders", *orders)
    recorded = msgspec.json.encode(judge(evidence, analysis))
    policy = msgspec.json.decode(msgspec.json.encode(analysis), type=Analysis)
    tests = msgspec.json.decode(recorded, type=Judgement).tests
    assert msgspec.json.encode(recompute(tests, policy)) == recorded


@settings(deadline=None, max_examples=25)
@given(looks=looks)
def test_the_evidence_survives_json(looks: list[tuple[float, Counts, Counts]]):
    evidence = Evidence()
    for share, canary, baseline in looks:
        evidence = observe(evidence, Analysis(), share, canary, baseline)
    again = msgspec.json.decode(msgspec.json.encode(evidence), type=Evidence)
    assert again == evidence
    assert judge(again, Analysis()) == judge(evidence, Analysis())


def test_a_verdict_hangs_on_no_last_bit():
    """Figures are rounded before they decide, to six decimals."""
    verdict = judge(watched(Analysis(), counts(997, 13), counts(1_003, 11)), Analysis())
    figures = [verdict.log_e_worse, verdict.log_e_harmless]
    figures += [each for test in verdict.tests for each in (test.log_e_worse, test.log_e_harmless, test.dispersion)]
    assert all(round(figure, 6) == figure for figure in figures)


def test_a_sound_analysis_has_no_faults():
    assert faults(Analysis()) == []
    assert faults(errors_only) == []


def test_all_faults_are_named_at_once():
    counters = PrometheusCounters("http://localhost:9090", "a", "b", "c", "d")
    analysis = Analysis(
        latency_quantiles=(0.9, 0.5, 1.0),
        measurements=(Metric("orders"), Metric("orders", counters), Metric("errors")),
    )
    assert faults(analysis) == [
        "latency_quantiles must lie between 0 and 1",
        "latency_quantiles must increase",
        "the measurement 'orders' is declared 2 times",
        "'errors' is the name of the built-in metric",
    ]


def test_there_must_be_something_to_judge():
    assert faults(Analysis(errors=False, latency_quantiles=())) == [
        "there is nothing to judge: no errors, no latency_quantiles and no measurements"
    ]


@pytest.mark.parametrize(
    "declared",
    [
        {"budget": 1},
        {"budget": 10_001},
        {"mistakes": 0},
        {"harm_ratio": 1.0},
        {"negligible": 0},
        {"interval": 0.01},
        {"interval": 3601},
        {"quantiles": [0.5]},
        {"measurements": [{"name": "two words"}]},
        {"measurements": [{"name": "a", "prometheus": {"url": "ftp://x"}}]},
    ],
)
def test_fields_out_of_bounds_are_refused(declared: dict[str, object]):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(declared, Analysis)
