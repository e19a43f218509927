"""A canary from look to look: what counts, what a verdict says, and that it can be computed again for ever."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain import canary, deployment
from domain.analysis import Analysis, Metric, PrometheusCounters, judge, recompute
from domain.canary import (
    Approve,
    Approved,
    Judged,
    Look,
    Measured,
    MetricMeasured,
    Pair,
    Promote,
    Promoted,
    RecordMeasurement,
    ShiftTraffic,
    TrafficShifted,
    Watch,
)
from domain.decider import Refusal
from domain.deployment import (
    CancellationRequested,
    CompleteStep,
    Requested,
    RolloutPolicy,
    StartStep,
    StepCompleted,
    StepStarted,
)
from domain.environment import LiveRelease, Target
from domain.measurement import Counts, Sample, total
from domain.stack import ReleaseSpec
from domain.strategy import Canary, CanaryStep
from tests.scenario import Scenario

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
ERRORS = Analysis(latency_quantiles=())
counters = PrometheusCounters("http://prometheus", "a", "b", "c", "d")
METRICS = Analysis(latency_quantiles=(), measurements=(Metric("refunds"), Metric("timeouts", counters)))

# One step: a minute and 100 requests, then a quarter of an hour of patience. Three: the second one has a gate.
ONE = Canary((CanaryStep(50, pause=60.0, requests=100),), ERRORS, patience=900.0)
THREE = Canary((CanaryStep(5, 60.0, 100), CanaryStep(25, 60.0, 100, gate=True), CanaryStep(50, 60.0, 100)), ERRORS)
OPEN = Canary((CanaryStep(5, 60.0, 100), CanaryStep(50, 60.0, 100)), ERRORS)
COUNTED = Canary((CanaryStep(50),), METRICS)

NOTHING = Counts()
LITTLE = Counts(100, 0, 0)
MUCH = Counts(20_000, 0, 0)
BROKEN = Counts(2_000, 400, 400)


def at(seconds):
    return NOON + timedelta(seconds=seconds)


def shifted(step=1, seconds=0.0):
    return TrafficShifted(f"canary-{step}", {"canary": 5, "stable": 95}, at(seconds))


def look(seconds, mine, baseline, epoch="e1", **counted):
    return Look(at(seconds), epoch, mine, baseline, counted)


def measurement(bad, of=2_000, metric="refunds"):
    return RecordMeasurement(metric, Sample(of, bad), Sample(of, 0))


# Bad ones in a heap may be one incident; fifteen times in a row they are not.
HARM = (RecordMeasurement("refunds", Sample(200, 20), Sample(200, 4)),) * 15


class Story:
    """A canary told command by command; everything that it decides happens."""

    def __init__(self, strategy, *events):
        self.strategy, self.events, self.watch = strategy, [], None
        self._happen(events or (shifted(),))

    def _happen(self, events):
        self.events += events
        for event in events:
            self.watch = canary.evolve(self.watch, event, self.strategy)

    def tell(self, *commands):
        for command in commands:
            decided = canary.decide(command, self.strategy, self.watch)
            assert not isinstance(decided, Refusal), decided
            self._happen(decided)
        return self

    def refused(self, command):
        refusal = canary.decide(command, self.strategy, self.watch)
        assert isinstance(refusal, Refusal), f"not refused: {refusal}"
        return refusal

    @property
    def verdict(self):
        """The decision and the reason of the last one."""
        return self.verdicts[-1].decision, self.verdicts[-1].reason

    @property
    def verdicts(self):
        return [event for event in self.events if isinstance(event, Judged)]

    def counted(self, metric="errors"):
        """Requests and bad ones of the canary, then of the baseline, over all segments."""
        segments = self.watch.evidence.segments.get(metric, ())
        names = ("canary_requests", "canary_bad", "baseline_requests", "baseline_bad")
        return tuple(sum(getattr(segment, name) for segment in segments) for name in names)


# --- what a look counts --------------------------------------------------------------------------------------------


def test_a_look_is_recorded_as_it_was_read_and_judged_in_the_same_write():
    reading = look(1, LITTLE, LITTLE)
    measured, verdict = canary.decide(reading, ONE, Watch(0, NOON))
    assert measured == Measured(at(1), "e1", LITTLE, LITTLE)
    assert isinstance(verdict, Judged)
    after = canary.evolve(Watch(0, NOON), measured, ONE)
    assert verdict.judgement == judge(after.evidence, ERRORS)


def test_within_an_epoch_only_what_came_since_the_last_look_counts():
    story = Story(ONE).tell(look(1, Counts(10, 1, 1), Counts(20, 2, 2)), look(2, Counts(30, 4, 3), Counts(50, 2, 2)))
    assert story.counted() == (30, 3, 50, 2)
    assert story.watch.requests == 30


def test_a_look_that_finds_nothing_new_counts_nothing():
    story = Story(ONE).tell(*(look(second, Counts(10, 1, 1), Counts(20, 2, 2)) for second in (1, 2, 3)))
    assert story.counted() == (10, 1, 20, 2)


def test_after_a_restart_of_the_splitter_everything_counts_from_zero():
    story = Story(ONE).tell(
        look(1, Counts(10, 1, 1), Counts(20, 0, 0)),
        look(2, Counts(4, 0, 0), Counts(6, 2, 2), epoch="e2"),
        look(3, Counts(5, 1, 1), Counts(8, 2, 2), epoch="e2"),
    )
    assert story.counted() == (15, 2, 28, 2)
    assert story.watch.requests == 15


def test_failures_that_belong_together_count_as_one_incident():
    story = Story(ONE).tell(look(1, Counts(100, errors=40, incidents=1), Counts(100, errors=7, incidents=2)))
    assert story.counted() == (100, 1, 100, 2)


def test_an_equal_baseline_is_as_new_as_the_canary_so_its_first_reading_counts():
    assert Story(ONE).tell(look(1, LITTLE, LITTLE)).counted() == (100, 0, 100, 0)


def test_the_first_reading_of_a_stable_baseline_is_only_a_marker():
    stable = Canary((CanaryStep(10),), ERRORS, "stable")
    story = Story(stable).tell(look(1, Counts(3, 0, 0), Counts(9_000, 50, 50)))
    assert story.counted() == (0, 0, 0, 0)
    assert story.verdict[0] == "continue"
    story.tell(look(2, Counts(13, 1, 1), Counts(9_090, 52, 52)))
    assert story.counted() == (10, 1, 90, 2)


def test_a_restart_of_the_splitter_is_no_marker_all_of_its_counts_are_of_the_canarys_time():
    stable = Canary((CanaryStep(10),), ERRORS, "stable")
    story = Story(stable).tell(
        look(1, NOTHING, Counts(9_000, 50, 50)), look(2, Counts(10, 0, 0), Counts(90, 1, 1), epoch="e2")
    )
    assert story.counted() == (10, 0, 90, 1)


def test_every_weight_has_a_segment_of_its_own_against_a_stable_baseline():
    stable = Canary((CanaryStep(10, requests=0), CanaryStep(40)), ERRORS, "stable")
    story = Story(stable).tell(look(1, NOTHING, NOTHING), look(2, Counts(10), Counts(90)))
    story.tell(ShiftTraffic("canary-2", {}, at(3)), look(4, Counts(50), Counts(150)))
    segments = story.watch.evidence.segments["errors"]
    assert [(each.expected_share, each.canary_requests, each.baseline_requests) for each in segments] == [
        (0.1, 10, 90),
        (0.4, 40, 60),
    ]


def test_a_step_counts_its_own_requests_and_keeps_the_evidence_of_those_before():
    story = Story(OPEN).tell(look(1, Counts(70, 1, 1), Counts(70)), ShiftTraffic("canary-2", {}, at(2)))
    assert (story.watch.requests, story.watch.since, story.watch.name) == (0, at(2), "canary-2")
    story.tell(look(3, Counts(75, 1, 1), Counts(90)))
    assert story.watch.requests == 5
    assert story.counted() == (75, 1, 90, 0)


arms = st.builds(
    lambda answers, bad, incidents, bucket: Counts(answers + bad, bad, min(bad, incidents), {bucket: answers + bad}),
    *(st.integers(0, 500), st.integers(0, 30), st.integers(0, 30), st.integers(20, 60)),
)
intervals = st.lists(st.tuples(st.sampled_from(["same", "same", "restart"]), arms, arms), max_size=10)


def readings(script):
    """What a splitter shows that counts for ever, except that a restart begins at zero."""
    epoch, mine, baseline = 0, NOTHING, NOTHING
    for number, (what, more, more_baseline) in enumerate(script):
        if what == "restart":
            epoch, mine, baseline = epoch + 1, NOTHING, NOTHING
        mine, baseline = total([mine, more]), total([baseline, more_baseline])
        yield look(number, mine, baseline, epoch=f"e{epoch}")


@given(intervals, st.sampled_from(["equal", "stable"]))
def test_nothing_is_counted_twice_and_nothing_is_lost(script, baseline):
    """Whatever happens between the looks, and whenever the splitter restarts."""
    strategy = Canary((CanaryStep(20),), Analysis(), baseline)
    story = Story(
        strategy, shifted(), *(Measured(each.at, each.epoch, each.canary, each.baseline) for each in readings(script))
    )
    counting = script if baseline == "equal" else script[1:]
    mine, other = total(mine for _, mine, _ in counting), total(other for _, _, other in counting)
    assert story.counted() == (mine.requests, mine.incidents, other.requests, other.incidents)
    assert story.watch.requests == mine.requests
    assert _answers(story.watch.evidence.recent) == sum(other.latency.values())


def _answers(histograms):
    return sum(sum(histogram.values()) for histogram in histograms)


# --- when a step is over -------------------------------------------------------------------------------------------


def test_a_step_goes_on_until_its_pause_is_over():
    assert Story(OPEN).tell(look(59.4, LITTLE, LITTLE)).verdict == ("continue", "5 % for 1 s more")


def test_a_step_goes_on_until_the_canary_had_its_requests():
    story = Story(OPEN).tell(look(60, Counts(99), LITTLE))
    assert story.verdict == ("continue", "5 % until 1 more requests")


def test_a_step_is_over_after_pause_and_requests():
    story = Story(OPEN).tell(look(60, LITTLE, LITTLE))
    assert story.verdict == ("advance", "nothing speaks against 50 %")


def test_a_step_counts_from_when_its_weights_came_into_force():
    story = Story(OPEN).tell(look(60, LITTLE, LITTLE), ShiftTraffic("canary-2", {}, at(70)))
    story.tell(look(129, Counts(300), Counts(300)))
    assert story.verdict == ("continue", "50 % for 1 s more")


def test_enough_evidence_of_no_harm_promotes_before_the_step_is_over():
    decision, reason = Story(OPEN).tell(look(1, MUCH, MUCH)).verdict
    assert decision == "promote"
    assert "no harm" in reason


def test_no_evidence_promotes_past_a_gate_that_lies_ahead():
    story = Story(THREE).tell(look(1, MUCH, MUCH))
    assert story.verdict == ("continue", "5 % for 59 s more")
    assert story.tell(look(60, MUCH, MUCH)).verdict[0] == "advance"


def test_behind_the_last_gate_evidence_promotes_again():
    story = Story(THREE, shifted(3)).tell(look(1, MUCH, MUCH))
    assert story.verdict[0] == "promote"


# --- people --------------------------------------------------------------------------------------------------------


def at_the_gate():
    return Story(THREE, shifted(2)).tell(look(60, LITTLE, LITTLE))


def test_at_a_gate_the_canary_waits_for_a_person():
    assert at_the_gate().verdict == ("await_approval", "the gate at 25 %")


def test_a_gate_is_no_matter_before_its_step_is_over():
    assert Story(THREE, shifted(2)).tell(look(59, LITTLE, LITTLE)).verdict[0] == "continue"


def test_an_approval_opens_the_gate_with_its_reason_on_the_record():
    story = at_the_gate().tell(Approve("looks fine"))
    assert story.events[-2] == Approved("canary-2", "looks fine")
    assert story.verdict == ("advance", "approved by a person: looks fine")


def test_the_approval_of_the_last_gate_promotes():
    last = Canary((CanaryStep(5), CanaryStep(25, gate=True)), None)
    story = Story(last, shifted(2)).tell(look(0, LITTLE, LITTLE), Approve())
    assert story.verdict == ("promote", "approved by a person")
    assert story.verdicts[-1].judgement is None


def test_an_approval_stands_also_for_a_look_that_was_already_under_way():
    story = at_the_gate().tell(Approve(), look(61, LITTLE, LITTLE))
    assert story.verdict == ("advance", "approved by a person")
    assert story.refused(Approve()).name == "approval_not_awaited"


def test_an_approval_opens_one_gate_only():
    two = Canary((CanaryStep(5, gate=True), CanaryStep(25, gate=True)), ERRORS)
    story = Story(two).tell(look(1, LITTLE, LITTLE), Approve(), ShiftTraffic("canary-2", {}, at(2)))
    story.tell(look(3, Counts(200), Counts(200)))
    assert story.verdict == ("await_approval", "the gate at 25 %")


@pytest.mark.parametrize("story", [Story(THREE), Story(OPEN).tell(look(60, LITTLE, LITTLE))])
def test_what_is_not_awaited_is_not_approved(story):
    assert story.refused(Approve()).name == "approval_not_awaited"


@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_person_promotes_at_any_step_and_answers_for_it(step):
    story = Story(THREE, shifted(step)).tell(Promote("hurry"))
    assert story.events[-2] == Promoted(f"canary-{step}", "hurry")
    assert story.verdict == ("promote", "promoted by a person: hurry")
    assert story.tell(look(1, LITTLE, LITTLE)).verdict == ("promote", "promoted by a person")


@pytest.mark.parametrize("command", [look(1, LITTLE, LITTLE), Approve(), Promote(), measurement(0)])
def test_a_canary_without_traffic_is_not_watched(command):
    refusal = canary.decide(command, COUNTED, None)
    assert isinstance(refusal, Refusal)
    assert refusal.name == "canary_not_watched"


# --- other metrics -------------------------------------------------------------------------------------------------


def test_a_published_measurement_counts_as_it_is():
    story = Story(COUNTED).tell(measurement(3), measurement(4))
    assert story.events[1] == MetricMeasured("refunds", Sample(2_000, 3), Sample(2_000, 0))
    assert story.counted("refunds") == (4_000, 7, 4_000, 0)


def test_a_measurement_alone_can_roll_back():
    decision, reason = Story(COUNTED).tell(*HARM).verdict
    assert decision == "roll_back"
    assert "worse in refunds" in reason


def test_only_measurements_that_the_request_declares_are_taken():
    refusal = Story(COUNTED).refused(measurement(0, metric="latency"))
    assert refusal.name == "metric_not_declared"
    assert "refunds" in refusal.reason
    assert Story(ONE).refused(measurement(0)).name == "metric_not_declared"
    without = Canary((CanaryStep(5, gate=True),), None)
    assert Story(without).refused(measurement(0)).name == "metric_not_declared"


def test_a_metric_that_is_read_from_prometheus_is_not_published_too():
    """It would be counted twice."""
    assert Story(COUNTED).refused(measurement(0, metric="timeouts")).name == "metric_not_declared"


@pytest.mark.parametrize(
    ("mine", "baseline", "named"),
    [
        (Sample(1, 2), Sample(1, 1), "canary"),
        (Sample(1, 1), Sample(1, 2), "baseline"),
        (Sample(0, 1), Sample(0, 1), "canary, baseline"),
    ],
)
def test_a_measurement_that_cannot_be_is_refused_and_says_of_which_arm(mine, baseline, named):
    refusal = Story(COUNTED).refused(RecordMeasurement("refunds", mine, baseline))
    assert refusal.name == "measurement_impossible"
    assert refusal.reason.endswith(f": {named}")


def test_a_measurement_says_nothing_of_the_time_so_no_step_is_over_by_it():
    story = Story(Canary((CanaryStep(5), CanaryStep(50)), METRICS)).tell(measurement(0, of=50))
    assert story.verdict[0] == "continue"


def test_a_measurement_does_not_end_the_waiting_for_a_person():
    gated = Canary((CanaryStep(5, gate=True), CanaryStep(50)), METRICS)
    story = Story(gated).tell(look(1, LITTLE, LITTLE), measurement(0))
    assert story.verdict[0] == "await_approval"
    assert story.tell(Approve()).verdict[0] == "advance"


def test_a_measurement_repeats_no_verdict_that_it_does_not_bear_out():
    """The step was over at the look; the measurement knows nothing of that."""
    story = Story(Canary((CanaryStep(5), CanaryStep(50)), METRICS)).tell(look(1, LITTLE, LITTLE))
    assert story.verdict[0] == "advance"
    assert story.tell(measurement(0, of=50)).verdict[0] == "continue"


def test_after_enough_evidence_a_bad_measurement_still_is_heard():
    refunds = Analysis(latency_quantiles=(), measurements=(Metric("refunds"),))
    story = Story(Canary((CanaryStep(50),), refunds)).tell(measurement(0, of=20_000), look(1, MUCH, MUCH))
    assert story.verdict[0] == "promote"
    assert story.tell(*HARM).verdict[0] == "roll_back"


def pair(mine, baseline):
    return Pair(Sample(*mine), Sample(*baseline))


def counting(*pairs):
    """A canary whose looks show these counters of Prometheus, one after the other."""
    looks = (look(second, NOTHING, NOTHING, timeouts=each) for second, each in enumerate(pairs, 1))
    return Story(COUNTED).tell(*looks)


def test_a_counters_first_value_is_only_a_marker():
    story = counting(pair((900, 30), (800, 20)))
    assert MetricMeasured("timeouts", Sample(0, 0), Sample(0, 0), pair((900, 30), (800, 20))) in story.events
    assert story.counted("timeouts") == (0, 0, 0, 0)


def test_a_counter_counts_as_far_as_it_grows():
    story = counting(pair((900, 30), (800, 20)), pair((950, 31), (860, 20)), pair((951, 31), (870, 25)))
    assert story.counted("timeouts") == (51, 1, 70, 5)


@pytest.mark.parametrize(
    "less",
    [pair((40, 2), (860, 21)), pair((960, 32), (7, 0)), pair((960, 1), (860, 21)), pair((960, 32), (860, 0))],
)
def test_of_the_time_in_which_a_counter_begins_anew_nothing_counts_on_either_arm(less):
    """A spike of errors that only one arm has counted would look like a difference between them."""
    story = counting(pair((900, 30), (800, 20)), less)
    assert story.counted("timeouts") == (0, 0, 0, 0)
    mine, baseline = less.canary, less.baseline
    later = Pair(Sample(mine.total + 50, mine.bad + 2), Sample(baseline.total + 60, baseline.bad + 1))
    assert counting(pair((900, 30), (800, 20)), less, later).counted("timeouts") == (50, 2, 60, 1)


def test_while_a_source_does_not_answer_nothing_is_lost():
    story = Story(COUNTED).tell(
        look(1, NOTHING, NOTHING, timeouts=pair((10, 0), (10, 0))),
        look(2, NOTHING, NOTHING),
        look(3, NOTHING, NOTHING, timeouts=pair((30, 2), (50, 0))),
    )
    assert story.counted("timeouts") == (20, 2, 40, 0)


def test_counters_go_on_over_steps():
    two = Canary((CanaryStep(5), CanaryStep(50)), METRICS)
    story = Story(two).tell(look(1, NOTHING, NOTHING, timeouts=pair((10, 0), (10, 0))))
    story.tell(ShiftTraffic("canary-2", {}, at(2)), look(3, NOTHING, NOTHING, timeouts=pair((30, 2), (50, 0))))
    assert story.counted("timeouts") == (20, 2, 40, 0)


# --- the end without a proof ---------------------------------------------------------------------------------------


def few(number):
    """A request more at every look: far from proving anything."""
    return Counts(100 + number, 1, 1)


def test_at_the_end_inconclusive_says_how_many_more_requests_it_takes():
    story = Story(ONE).tell(look(60, few(0), few(0)))
    needs = story.verdicts[-1].judgement.needs
    assert needs > 0
    assert story.verdict == ("inconclusive", f"undecided: about {needs} more requests to the canary are needed")


@pytest.mark.parametrize(("on_inconclusive", "decision"), [("ask", "await_approval"), ("roll_back", "roll_back")])
def test_when_patience_is_over_a_person_is_asked_or_it_is_rolled_back(on_inconclusive, decision):
    strategy = msgspec.structs.replace(ONE, on_inconclusive=on_inconclusive)
    story = Story(strategy).tell(look(60, few(0), few(0)), look(959, few(1), few(1)))
    assert story.verdict[0] == "inconclusive"
    story.tell(look(960, few(2), few(2)))
    assert story.verdict[0] == decision


def test_a_rollback_for_want_of_proof_says_so():
    story = Story(msgspec.structs.replace(ONE, on_inconclusive="roll_back"))
    story.tell(look(60, few(0), few(0)), look(960, few(1), few(1)))
    assert story.verdict[1].startswith("still inconclusive after 900 s: undecided")


def test_patience_begins_when_the_step_is_over_however_long_its_requests_took():
    story = Story(ONE).tell(look(5_000, Counts(99), Counts(99)))
    assert story.verdict[0] == "continue"
    story.tell(look(9_000, few(0), few(0)), look(9_899, few(1), few(1)))
    assert story.verdict[0] == "inconclusive"
    assert story.tell(look(9_900, few(2), few(2))).verdict[0] == "await_approval"


def test_without_patience_a_person_is_asked_at_once():
    story = Story(msgspec.structs.replace(ONE, patience=0.0)).tell(look(60, few(0), few(0)))
    assert story.verdict[0] == "await_approval"


def test_who_is_asked_for_want_of_proof_may_promote_by_approving():
    story = Story(msgspec.structs.replace(ONE, patience=0.0)).tell(look(60, few(0), few(0)), Approve("I tried it"))
    assert story.verdict == ("promote", "approved by a person: I tried it")


def test_a_proof_that_comes_late_still_decides():
    story = Story(ONE).tell(look(60, few(0), few(0)), look(960, few(1), few(1)))
    assert story.verdict[0] == "await_approval"
    assert story.tell(look(961, MUCH, MUCH)).verdict[0] == "promote"


# --- harm ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [1, 60, 3_600])
@pytest.mark.parametrize("step", [1, 2, 3])
def test_evidence_of_harm_rolls_back_at_any_step_at_any_time(step, seconds):
    decision, reason = Story(THREE, shifted(step)).tell(look(seconds, BROKEN, Counts(2_000))).verdict
    assert decision == "roll_back"
    assert "worse in errors" in reason


def test_evidence_of_harm_rolls_back_while_a_person_is_waited_for():
    story = at_the_gate().tell(look(61, BROKEN, Counts(2_000)))
    assert story.verdict[0] == "roll_back"
    assert story.refused(Approve()).name == "approval_not_awaited"


def test_evidence_of_harm_outweighs_an_approval_that_nobody_has_followed_yet():
    assert at_the_gate().tell(Approve(), look(61, BROKEN, Counts(2_000))).verdict[0] == "roll_back"


def test_without_analysis_no_look_ever_rolls_back_or_promotes():
    people = Canary((CanaryStep(5), CanaryStep(25, gate=True)), None)
    story = Story(people).tell(look(1, BROKEN, Counts(2_000)), ShiftTraffic("canary-2", {}, at(2)))
    story.tell(look(3, total([BROKEN, BROKEN]), Counts(4_000)))
    assert [verdict.decision for verdict in story.verdicts] == ["advance", "await_approval"]
    assert {verdict.judgement for verdict in story.verdicts} == {None}


# --- no data never passes ------------------------------------------------------------------------------------------

grown = st.tuples(st.integers(0, 10**9), st.integers(0, 10**6)).map(lambda each: Sample(sum(each), each[1]))
silences = st.lists(
    st.tuples(st.floats(0, 10**6), arms, st.booleans(), grown, grown),
    min_size=1,
    max_size=5,
)


@settings(deadline=None, max_examples=15)
@given(
    silences,
    st.sampled_from(["equal", "stable"]),
    st.sampled_from(["ask", "roll_back"]),
    st.integers(0, 1).map(lambda requests: requests * 100),
)
def test_a_canary_without_a_single_request_is_never_promoted(script, baseline, on_inconclusive, requests):
    """Whatever the baseline answers, however long it takes, wherever the numbers come from."""
    analysis = Analysis(latency_quantiles=(0.9,), measurements=METRICS.measurements)
    steps = (CanaryStep(5, requests=requests), CanaryStep(50, requests=requests))
    strategy = Canary(steps, analysis, baseline, on_inconclusive=on_inconclusive)
    story, seconds, other, counter = Story(strategy), 0.0, NOTHING, Sample(0, 0)
    for wait, more, restart, told, counted in script:
        seconds, other = seconds + wait, more if restart else total([other, more])
        counter = Sample(counter.total + counted.total, counter.bad + counted.bad)
        timeouts = Pair(Sample(7, 3), counter)
        story.tell(look(seconds, NOTHING, other, f"e{len(story.events) if restart else 0}", timeouts=timeouts))
        story.tell(RecordMeasurement("refunds", Sample(0, 0), told))
        if story.verdicts[-2].decision == "advance":
            story.tell(ShiftTraffic("canary-2", {}, at(seconds)))
    assert "promote" not in {verdict.decision for verdict in story.verdicts}
    assert story.counted()[:2] == (0, 0)


# --- as part of a deployment ---------------------------------------------------------------------------------------

live = LiveRelease("d0", "1.0", "local", release=ReleaseSpec("old-shop"))


def requested(strategy):
    about = ("shop", "prod", "1.1", strategy, RolloutPolicy(), ReleaseSpec("shop"), Target("local"))
    return Requested(*about, live, (), 1, Target("local"))


def rollout(*events):
    started = (requested(THREE), StepStarted("canary-2"), shifted(2))
    return Scenario(deployment.deployment).given(*started, *events)


waiting = at_the_gate().events[1:]


def test_a_deployment_hears_what_is_said_of_the_step_under_way():
    approved = Story(THREE, shifted(2), *waiting).tell(Approve("fine")).events[-2:]
    rollout(*waiting).when(Approve("fine")).then(*approved)


@pytest.mark.parametrize("command", [Approve(), Promote()])
@pytest.mark.parametrize(
    "after", [(StepCompleted("canary-2", ""),), (StepCompleted("canary-2", ""), StepStarted("canary-3"))]
)
def test_what_is_said_while_the_traffic_moves_on_is_refused_rather_than_lost(command, after):
    rollout(*waiting, *after).when(command).refused("canary_not_watched")


@pytest.mark.parametrize("command", [Approve(), Promote()])
def test_a_cancelled_canary_is_neither_approved_nor_promoted(command):
    rollout(*waiting, CancellationRequested("no")).when(command).refused("cancellation_requested")


# --- the record ----------------------------------------------------------------------------------------------------

RECORDED = Canary(
    (CanaryStep(5, 10.0, 50), CanaryStep(25, 0.0, 50, gate=True), CanaryStep(50, 10.0, 50)),
    Analysis(latency_quantiles=(0.9,), measurements=METRICS.measurements),
    patience=60.0,
)
samples = st.tuples(st.integers(0, 500), st.integers(0, 20)).map(lambda each: Sample(sum(each), each[1]))
scripts = st.lists(
    st.one_of(
        st.tuples(st.just("look"), intervals.filter(len).map(lambda script: script[0]), samples, samples),
        st.tuples(st.just("measurement"), samples, samples),
        st.tuples(st.just("approve")),
        st.tuples(st.just("promote")),
    ),
    min_size=1,
    max_size=10,
)


class History:
    """All events of a deployment whose canary is told a script, and which goes on as its verdicts say."""

    def __init__(self, strategy, script):
        self.events, self.state = [], deployment.deployment.initial
        self._happen((requested(strategy),))
        self._begin(1, 0)
        spans, mine, baseline = [], Sample(0, 0), Sample(0, 0)
        for second, (what, *told) in enumerate(script, 1):
            match what:
                case "look":
                    interval, more, more_baseline = told
                    spans.append(interval)
                    mine, baseline = _sum(mine, more), _sum(baseline, more_baseline)
                    *_, reading = readings(spans)
                    shown = {"timeouts": Pair(mine, baseline)}
                    self.tell(msgspec.structs.replace(reading, at=at(second * 5), counters=shown), second)
                case "measurement":
                    self.tell(RecordMeasurement("refunds", *told), second)
                case "approve":
                    self.tell(Approve("fine"), second)
                case _:
                    self.tell(Promote("hurry"), second)

    def _happen(self, events):
        self.events += events
        self.state = deployment.deployment.fold(events, self.state)

    def tell(self, command, second):
        decided = deployment.decide(command, self.state)
        if isinstance(decided, Refusal):
            return
        self._happen(decided)
        watch = self.state.watch
        if watch.decision == "advance":
            self._happen(deployment.decide(CompleteStep(watch.name, ""), self.state))
            self._begin(watch.step + 2, second * 5)

    def _begin(self, number, seconds):
        name = f"canary-{number}"
        self._happen(deployment.decide(StartStep(name), self.state))
        self._happen(deployment.decide(ShiftTraffic(name, {"canary": 5}, at(seconds)), self.state))

    @property
    def verdicts(self):
        return [event for event in self.events if isinstance(event, Judged)]


def _sum(one, other):
    return Sample(one.total + other.total, one.bad + other.bad)


def stored(value, type):
    """As it comes back from the log."""
    return msgspec.json.decode(msgspec.json.encode(value), type=type)


@pytest.mark.parametrize("baseline", ["equal", "stable"])
@settings(deadline=None, max_examples=12)
@given(script=scripts)
def test_every_recorded_verdict_can_be_computed_again_bit_for_bit(baseline, script):
    history = History(msgspec.structs.replace(RECORDED, baseline=baseline), script)
    policy = stored(history.events[0], deployment.Event).strategy.analysis
    for verdict in history.verdicts:
        kept = stored(verdict, deployment.Event).judgement
        again = recompute(kept.tests, policy)
        assert again == kept == verdict.judgement
        assert msgspec.json.encode(again) == msgspec.json.encode(verdict.judgement)


@settings(deadline=None, max_examples=12)
@given(script=scripts)
def test_verdicts_are_numbered_without_gaps_over_all_steps(script):
    numbers = [verdict.number for verdict in History(RECORDED, script).verdicts]
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("baseline", ["equal", "stable"])
@settings(deadline=None, max_examples=12)
@given(script=scripts)
def test_replaying_the_record_gives_the_same_state_also_from_any_snapshot(baseline, script):
    history = History(msgspec.structs.replace(RECORDED, baseline=baseline), script)
    events = [stored(event, deployment.Event) for event in history.events]
    fold = deployment.deployment.fold
    assert fold(events) == fold(events) == history.state
    for number in range(len(events) + 1):
        snapshot = stored(fold(events[:number]), deployment.State)
        assert fold(events[number:], snapshot) == history.state


@settings(deadline=None, max_examples=12)
@given(script=scripts)
def test_a_look_at_a_replayed_canary_is_judged_as_at_the_original(script):
    history = History(RECORDED, script)
    snapshot = stored(history.state, deployment.State)
    for command in (look(10_000, MUCH, MUCH, "later"), measurement(600), Promote("now")):
        assert deployment.decide(command, snapshot) == deployment.decide(command, history.state)


def test_the_histories_of_these_tests_see_every_verdict_and_every_step():
    """So that none of the properties above holds for want of examples."""
    quiet, harm = ("same", Counts(60, 1, 1), Counts(60, 1, 1)), ("same", BROKEN, Counts(2_000))
    none = (Sample(0, 0), Sample(0, 0))
    calm = [("look", quiet, *none)] * 3
    story = History(RECORDED, [*calm, ("approve",), *calm, ("measurement", *none), *calm * 4, ("promote",)])
    seen = {(verdict.step, verdict.decision) for verdict in story.verdicts}
    assert seen == {
        ("canary-1", "continue"),
        ("canary-1", "advance"),
        ("canary-2", "await_approval"),
        ("canary-2", "advance"),
        ("canary-3", "continue"),
        ("canary-3", "inconclusive"),
        ("canary-3", "await_approval"),
        ("canary-3", "promote"),
    }
    assert History(RECORDED, [("look", harm, *none)]).verdicts[-1].decision == "roll_back"
