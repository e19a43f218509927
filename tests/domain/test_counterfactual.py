"""Given what is on record of a canary, when it is judged again, then what would have come of it, or a bound of it."""

import random
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from domain.analysis import Analysis, Metric, PrometheusCounters
from domain.canary import Approve, Judged, Measured, Pair, Promote, RecordMeasurement
from domain.counterfactual import rejudge
from domain.deployment import AttemptStarted, CancellationRequested, RollbackStarted, RolledBack
from domain.measurement import Counts, Sample, bucket_of
from domain.rejudged import Rate, Recorded, Replayed, Requests, summarise
from domain.strategy import BlueGreen, Canary, CanaryStep
from domain.threshold import Threshold, faults
from tests.domain.canaries import LIVE, LONG, Interval, Story, answered, each_look, recorded, requested

errors_only = Analysis(latency_quantiles=())
patient = Analysis(latency_quantiles=(), budget=10_000, mistakes=10_000)
hasty = Analysis(latency_quantiles=(), budget=2, mistakes=10_000)
canary = Canary(LONG, errors_only)


def under(policy, story, name="d1"):
    (found,) = rejudge(name, story.events, policy)
    return found


def with_policy(strategy, policy):
    return structs.replace(strategy, analysis=policy)


# --- another policy ------------------------------------------------------------------------------------------------


def test_a_policy_that_decides_earlier_than_the_recorded_one_is_known_exactly():
    story = recorded(with_policy(canary, patient), each_look(canary_bad=6))
    truth = recorded(with_policy(canary, hasty), each_look(canary_bad=6))
    found = under(hasty, story)
    assert truth.looks < story.looks
    assert found.recorded == Recorded("roll_back", story.looks, 100 * story.looks, "policy")
    assert found.replayed == Replayed("roll_back", truth.looks, 100 * truth.looks, "policy")
    assert found.identical is None, "nothing is said of the verdicts of the recorded policy"


def test_a_policy_that_had_not_decided_when_the_recorded_one_did_is_bounded_and_not_guessed():
    story = recorded(with_policy(canary, hasty), each_look(canary_bad=6))
    assert recorded(with_policy(canary, patient), each_look(canary_bad=6)).looks > story.looks
    found = under(patient, story)
    assert found.recorded.outcome == "roll_back"
    assert found.replayed == Replayed(
        "unknown", story.looks, 100 * story.looks, why="the data end with the recorded decision"
    )


def test_a_policy_may_promote_what_was_rolled_back():
    """It was wrong only later: the lenient one had let it pass by then, and would have been wrong."""
    story = recorded(with_policy(canary, patient), [*each_look(1, 2, looks=10), *each_look(30, 2)])
    lenient = Analysis(latency_quantiles=(), mistakes=2)
    found = under(lenient, story)
    assert (found.recorded.outcome, found.replayed.outcome) == ("roll_back", "promote")
    assert summarise([found]).changed == ("d1",)


def test_what_was_measured_after_the_decision_is_no_data():
    """The traffic was on its way elsewhere by then."""
    story = recorded(with_policy(canary, hasty), each_look(canary_bad=6))
    decided = story.looks
    del story.events[-2:]  # before the saga has heard of it, there is another look
    story.look(each_look(canary_bad=90)[0])
    found = under(patient, story)
    assert story.verdict.number == decided + 1
    assert found.recorded == Recorded("roll_back", decided, 100 * decided, "policy")
    assert found.replayed.outcome == "unknown"
    assert under(None, story).identical


def test_steps_and_looks_are_taken_as_they_were():
    """Also where another policy decides in a later step, with other weights."""
    steps = (CanaryStep(5), CanaryStep(25), *LONG)
    good = each_look(canary_bad=1)
    story, truth = (recorded(Canary(steps, policy), good) for policy in (patient, errors_only))
    assert truth.watch.step == 2
    assert under(errors_only, story).replayed == Replayed("promote", truth.looks, 100 * truth.looks, "policy")


def test_a_metric_that_was_never_measured_leaves_everything_open():
    """It might have decided at once: not even the requests that there were are a bound."""
    story = recorded(canary, each_look(canary_bad=6))
    found = under(Analysis(measurements=(Metric("orders"),)), story)
    assert found.replayed == Replayed("unknown", 0, 0, why="not measured then: orders")


def test_a_metric_from_another_source_was_not_measured_either():
    source = PrometheusCounters("http://prometheus", "a", "b", "c", "d")
    of = Analysis(latency_quantiles=(), measurements=(Metric("orders", source),))
    other = structs.replace(source, canary_bad="other")
    story = recorded(with_policy(canary, of), each_look(canary_bad=6))
    elsewhere = structs.replace(of, budget=100, measurements=(Metric("orders", other),))
    assert under(elsewhere, story).replayed.why == "not measured then: orders"
    assert under(structs.replace(of, budget=100), story).replayed.why != "not measured then: orders"


def test_a_policy_without_a_recorded_metric_judges_by_the_rest():
    both = Analysis(latency_quantiles=(), measurements=(Metric("orders"),))
    story = Story(with_policy(canary, both))
    story.look(each_look(1)[0])
    story.tell(RecordMeasurement("orders", Sample(300, 0), Sample(300, 1)))
    story.go_on(each_look(canary_bad=9))
    found = under(errors_only, story)
    assert story.verdict.decision == "roll_back"
    assert found.replayed.outcome == "roll_back"
    assert found.replayed.look <= found.recorded.look


# --- people, interruptions, attempts -------------------------------------------------------------------------------


def test_what_people_said_is_taken_as_they_said_it():
    story = recorded(canary, each_look(1, looks=3))
    story.tell(Promote("it is urgent"))
    found = under(patient, story)
    assert found.recorded == Recorded("promote", 4, 300, "person")
    assert found.replayed == Replayed("promote", 4, 300, "person")


def test_a_policy_that_rolls_back_is_not_there_to_hear_what_people_said_later():
    story = recorded(with_policy(canary, patient), each_look(6, looks=5))
    story.tell(Promote("it is urgent"))
    found = under(hasty, story)
    assert (found.recorded.outcome, found.replayed.outcome, found.replayed.by) == ("promote", "roll_back", "policy")


def test_a_canary_without_analysis_can_be_judged_by_one():
    gated = Canary((CanaryStep(50, requests=300, gate=True),), None)
    story = recorded(gated, each_look(9, looks=10))
    assert story.verdict.decision == "await_approval"
    story.tell(Approve("looks well"))
    assert under(None, story).identical
    assert (under(errors_only, story).recorded.by, under(errors_only, story).replayed.outcome) == (
        "person",
        "roll_back",
    )


def test_what_interrupted_a_canary_would_have_interrupted_it_under_any_policy_that_had_not_decided():
    story = recorded(with_policy(canary, patient), each_look(6, looks=5))
    story.end(CancellationRequested("no"), RollbackStarted("cancelled: no"), RolledBack("cancelled: no", LIVE))
    assert under(patient, story).replayed == Replayed("interrupted", 5, 500)
    assert under(errors_only, recorded(canary, each_look(1, looks=2)).end(*story.events[-2:])).replayed.requests == 200
    assert under(hasty, story).replayed.outcome == "roll_back"


def test_a_canary_under_way_is_unknown_so_far():
    story = recorded(canary, each_look(1, looks=2))
    for policy in (None, patient):
        found = under(policy, story)
        assert found.recorded == Recorded("under_way", 2, 200)
        assert found.replayed == Replayed("unknown", 2, 200, why="under way")


def test_each_attempt_is_a_canary_of_its_own():
    """The first was lost with its target: nothing was decided of it."""
    lost = recorded(canary, each_look(1, looks=2)).end(AttemptStarted(2, "spare", "nobody listens"))
    again = recorded(canary, each_look(1, looks=3))
    first, second = rejudge("d1", [*lost.events, *again.events[1:]], None)
    assert (first.attempt, first.recorded, first.identical) == (1, Recorded("interrupted", 2, 200), True)
    assert (second.attempt, second.recorded, second.identical) == (2, Recorded("under_way", 3, 300), True)


def test_only_canaries_with_traffic_are_judged():
    assert rejudge("d1", [requested(BlueGreen())], errors_only) == []
    assert rejudge("d1", [requested(canary)], errors_only) == []


# --- the recorded policy -------------------------------------------------------------------------------------------


def everything():
    """Steps, a gate, latency, a restart of the splitter, metrics from both kinds of sources, and people."""
    source = PrometheusCounters("http://prometheus", "a", "b", "c", "d")
    policy = Analysis(measurements=(Metric("orders"), Metric("ranker:loss", source)))
    story = Story(Canary((CanaryStep(10, gate=True), CanaryStep(50, 20.0), *LONG), policy, "stable"))
    latency = dict.fromkeys(range(80, 90), 10)
    calm = Interval(answered(100, 1, latency), answered(300, 2, dict.fromkeys(range(80, 90), 30)))
    for look in range(1, 4):
        total = Sample(100 * look, look)
        story.look(calm, {"ranker:loss": Pair(total, total)})
    story.tell(Approve("seen it"))
    story.tell(RecordMeasurement("orders", Sample(50, 1), Sample(50, 0)))
    for _ in range(6):
        story.look(calm, epoch="e2")
    slower = {bucket + 4: 10 for bucket in range(80, 90)}
    return story.go_on([Interval(answered(100, 4, slower), calm.baseline)] * 60)


def test_by_the_recorded_policy_every_verdict_comes_out_bit_for_bit():
    story = everything()
    assert story.ended
    assert story.watch.step == 2
    found = under(None, story)
    assert (found.identical, found.difference) == (True, None)
    assert found == under(story.strategy.analysis, story)
    assert found.replayed == Replayed("roll_back", found.recorded.look, found.recorded.requests, "policy")


def at_look(story, number, change):
    """The story as it is told when somebody has changed what belongs to a verdict."""
    events = list(story.events)
    place = next(n for n, event in enumerate(events) if isinstance(event, Judged) and event.number == number)
    change(events, place)
    return events


def better(events, place):
    test = events[place].judgement.tests[0]
    tests = (structs.replace(test, log_e_worse=-1.0), *events[place].judgement.tests[1:])
    events[place] = structs.replace(events[place], judgement=structs.replace(events[place].judgement, tests=tests))


def fewer_errors(events, place):
    measured = events[place - 1]
    assert isinstance(measured, Measured)
    events[place - 1] = structs.replace(measured, canary=structs.replace(measured.canary, incidents=0))


def decided_otherwise(events, place):
    events[place] = structs.replace(events[place], decision="advance")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (better, "verdict 2: deployment.judged: judgement.tests[0].log_e_worse: recorded -1.0, now "),
        (fewer_errors, "verdict 2: deployment.judged: judgement.log_e_worse: recorded "),
        (decided_otherwise, "verdict 2: deployment.judged: decision: recorded 'advance', now 'continue'"),
    ],
)
def test_a_verdict_that_does_not_follow_from_what_was_measured_is_named(change, says):
    story = recorded(canary, each_look(canary_bad=6))
    (found,) = rejudge("d1", at_look(story, 2, change), None)
    assert found.identical is False
    assert found.difference.startswith(says)


def test_other_words_for_the_same_verdict_are_no_difference():
    def reworded(events, place):
        events[place] = structs.replace(events[place], reason="as another release puts it")

    (found,) = rejudge("d1", at_look(recorded(canary, each_look(6)), 2, reworded), None)
    assert found.identical


def test_a_verdict_on_nothing_is_no_history_of_a_canary():
    def unmeasured(events, place):
        del events[place - 1]

    with pytest.raises(ValueError, match="verdict 2 follows from nothing on record"):
        rejudge("d1", at_look(recorded(canary, each_look(6)), 2, unmeasured), None)


# --- the rules of peers --------------------------------------------------------------------------------------------

steps = Canary((CanaryStep(10, requests=300), CanaryStep(50, requests=300)), patient)


def test_one_more_failed_check_than_the_limit_rolls_back():
    """3 of 100 are more than 2 %, and 2 of 100 are not; good checks in between forgive nothing."""
    story = recorded(canary, [*each_look(3, 3, looks=3), *each_look(2, 3, looks=2), *each_look(3, 3, looks=9)])
    rule = Threshold(max_error_rate=0.02, failure_limit=3)
    assert under(rule, story).replayed == Replayed("roll_back", 6, 600, "policy")
    assert under(structs.replace(rule, failure_limit=20), story).replayed.outcome == "unknown"


def test_a_check_is_of_an_interval_of_so_many_requests_or_seconds():
    story = recorded(canary, [*each_look(9, 9, looks=1), *each_look(0, 0, looks=2), *each_look(5, 5, looks=6)])
    rule = Threshold(max_error_rate=0.04)
    assert under(rule, story).replayed.look == 1
    assert under(structs.replace(rule, interval_requests=300), story).replayed.look == 6
    assert under(structs.replace(rule, interval=14.0), story).replayed.look == 6
    assert under(structs.replace(rule, min_requests=700), story).replayed.look == 7, "29 of 700 are more than 4 %"


def test_a_rule_that_nothing_fails_promotes_when_the_steps_are_over_or_its_checks_are_done():
    story = recorded(steps, each_look(1, looks=20))
    rule = Threshold(max_error_rate=0.02)
    assert under(rule, story).replayed == Replayed("promote", 6, 600, "policy")
    assert under(structs.replace(rule, count=4), story).replayed == Replayed("promote", 4, 400, "policy")
    assert under(structs.replace(rule, count=10), story).replayed == Replayed("promote", 10, 1000, "policy")
    assert under(structs.replace(rule, count=21), story).replayed.outcome == "unknown"


def test_a_rule_waits_at_a_gate_for_the_person_who_opened_it():
    gated = Canary((CanaryStep(50, requests=300, gate=True),), patient)
    story = recorded(gated, each_look(1, looks=8))
    assert under(Threshold(max_error_rate=0.02, count=2), story).replayed.outcome == "unknown"
    story.tell(Approve())
    assert under(Threshold(max_error_rate=0.02), story).replayed == Replayed("promote", 9, 800, "person")


def test_a_strategy_without_patience_is_over_with_its_last_step_all_the_same():
    story = recorded(structs.replace(steps, patience=0.0, on_inconclusive="roll_back"), each_look(1, looks=20))
    assert story.verdict.decision == "roll_back"
    assert under(Threshold(max_error_rate=0.02), story).replayed == Replayed("promote", 6, 600, "policy")


def test_answers_that_take_too_long_fail_a_check():
    fast, slow = bucket_of(0.1), bucket_of(0.6)
    few = Interval(answered(100, 0, {fast: 99, slow: 1}), answered(100))
    more = Interval(answered(100, 0, {fast: 98, slow: 2}), answered(100))
    story = recorded(canary, [few, few, more])
    rule = Threshold(max_latency=0.5)
    assert under(rule, story).replayed.look == 3
    assert under(structs.replace(rule, max_latency=0.7), story).replayed.outcome == "unknown"


def test_no_traffic_fails_no_check():
    nothing = [Interval(Counts(), Counts())] * 3
    assert under(Threshold(max_error_rate=0.0), recorded(canary, nothing)).replayed == Replayed(
        "unknown", 3, 0, why="under way"
    )


def test_a_rule_needs_a_limit():
    assert faults(Threshold()) == ["there is nothing to judge: no max_error_rate and no max_latency"]
    assert faults(Threshold(max_latency=1.0)) == []


# --- in sum --------------------------------------------------------------------------------------------------------


def test_a_summary_bounds_what_is_unknown():
    stories = [recorded(with_policy(canary, hasty), each_look(bad)) for bad in (6, 30)]
    stories.append(recorded(with_policy(canary, hasty), each_look(1, looks=4)))
    found = [under(errors_only, story, f"d{number}") for number, story in enumerate(stories)]
    assert [each.replayed.outcome for each in found] == ["unknown", "roll_back", "unknown"]
    requests = sum(each.recorded.requests for each in found)
    summary = summarise(found)
    assert (summary.canaries, summary.same, summary.changed, summary.unknown) == (3, 1, (), 2)
    assert summary.requests == Requests(requests, requests, None)
    assert summary.recorded_rollbacks == Rate(2 / 3, 1.0), "one is under way"
    assert summary.rollbacks == Rate(1 / 3, 1.0)
    open_ends = found[0].replayed.requests + found[2].replayed.requests
    assert summarise(found, horizon=6_000).requests.at_most == requests + 12_000 - open_ends
    assert summarise(found, horizon=1).requests.at_most == requests, "what there was is no guess"
    assert summarise(found[1:2]).requests == Requests(100, 100, 100)
    with pytest.raises(ValueError, match="no canary"):
        summarise([])


# --- truth ---------------------------------------------------------------------------------------------------------

LOOKS = 16
POLICIES = [
    *(Analysis(latency_quantiles=(), budget=b, mistakes=m) for b, m in ((2, 10_000), (20, 5), (500, 2))),
    *(Threshold(max_error_rate=rate, failure_limit=limit) for rate, limit in ((0.02, 0), (0.03, 2))),
    Threshold(max_error_rate=0.03, failure_limit=1, interval_requests=250, count=5),
]
analyses = st.sampled_from([policy for policy in POLICIES if isinstance(policy, Analysis)])


def simulated(seed, rates, requests):
    """All looks to the very end, whoever decides when."""
    chance = random.Random(seed)

    def arm(rate):
        return answered(requests, sum(chance.random() < rate for _ in range(requests)))

    return [Interval(arm(rates[0]), arm(rates[1])) for _ in range(LOOKS)]


def truth(policy, strategy, intervals):
    """(outcome, requests) by a run of its own with all the data there are; a rule is computed by hand."""
    if isinstance(policy, Analysis):
        story = recorded(with_policy(strategy, policy), intervals)
        outcome = story.verdict.decision if story.ended else None
        return outcome, sum(each.canary.requests for each in intervals[: story.looks])
    requests = pending = bad = failed = done = 0
    for each in intervals:
        requests, pending, bad = (
            requests + each.canary.requests,
            pending + each.canary.requests,
            bad + each.canary.errors,
        )
        if pending >= policy.interval_requests:
            failed, done = failed + (bad > policy.max_error_rate * pending), done + 1
            pending = bad = 0
        if failed > policy.failure_limit:
            return "roll_back", requests
        if done >= policy.count if policy.count else requests >= sum(step.requests for step in strategy.steps):
            return "promote", requests
    return None, requests


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 10**6), st.sampled_from([0.0, 0.01, 0.03, 0.1])), min_size=1, max_size=2),
    st.sampled_from([20, 100]),
    analyses,
    st.sampled_from(POLICIES),
)
def test_the_bounds_always_contain_the_truth(canaries, requests, logged, policy):
    """Each canary is simulated to its end, and what is known of it is cut at the decision of the policy in force."""
    strategy = Canary((CanaryStep(10, requests=3 * requests), CanaryStep(50, requests=8 * requests)), logged)
    found, truths = [], []
    for seed, rate in canaries:
        intervals = simulated(seed, (rate, 0.01), requests)
        (each,) = rejudge(str(seed), recorded(strategy, intervals).events, policy)
        outcome, exposed = truth(policy, strategy, intervals)
        if each.replayed.outcome == "unknown":
            assert exposed >= each.replayed.requests
        else:
            assert (each.replayed.outcome, each.replayed.requests) == (outcome, exposed)
        found.append(each)
        truths.append((outcome, exposed))
    summary = summarise(found, horizon=LOOKS * requests)
    rolled_back = sum(outcome == "roll_back" for outcome, _ in truths) / len(truths)
    assert summary.rollbacks.at_least <= rolled_back <= summary.rollbacks.at_most
    assert summary.requests.at_least <= sum(exposed for _, exposed in truths) <= summary.requests.at_most
    assert policy != logged or all(each.identical for each in found)


def test_time_is_judged_as_it_was():
    """A pause that ended then ends now."""
    waiting = Canary((CanaryStep(10, timedelta(seconds=20).total_seconds(), 1), *LONG), patient)
    story = recorded(waiting, each_look(1, looks=6))
    assert story.watch.step == 1
    assert under(None, story).identical
