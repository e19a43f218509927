"""The retraining saga as a pure process: whatever happens, in whatever order, it ends in a right state."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from domain import experiment, model, monitor, saga
from domain.experiment import Evaluated
from domain.gate import Pairs
from domain.model import Holdout
from domain.model_policy import Gate, ModelPolicy, Training, Watch
from eventstore.subjects import is_valid_id
from sagas.definition import Cancelled, Decision, Exhausted, Heard, Refused, Rejected, Stumbled, TimedOut, Unreachable
from sagas.experiment_course import Retraining, retraining_of
from sagas.retraining import listens, plan, saga_id
from tests.sagas.experiments import (
    BETTER,
    DATA,
    EQUAL,
    GOOD,
    POLICY,
    WORSE,
    Said,
    World,
    requested,
    said_of_comparison,
)

EVERY_STEP = ("assemble", "train", "evaluate", "shadow", "promote", "watch")
WAITED_FOR = ("assemble", "train", "evaluate", "shadow", "watch")
"""Steps that last; a promotion is over as soon as it begins."""

BY_HOLDOUT = ModelPolicy(gate=Gate(by="holdout"))


def times(pairs, factor):
    return Pairs(*(each * factor for each in structs.astuple(pairs)))


def trained_well(**request):
    return World(requested(dataset=DATA, **request)).reach("shadow")


class TestTheWayForward:
    def test_the_first_version_has_nothing_to_be_compared_with(self):
        world = World(requested(champion=False, dataset=DATA)).run()
        assert [what.operation for what in world.performed] == ["train", "evaluate"]
        assert world.state.effects[-1].operation == "promote"
        world.assert_ended("promoted", active="1")

    def test_a_better_version_is_promoted_and_watched(self):
        world = World().run()
        assert world.state.step == "shadow"
        assert world.model.comparison == model.Comparison("m-2", "shadow", "2")
        world.compare(BETTER)
        world.run()
        assert world.state.step == "watch"
        assert world.model.active == "2"
        assert world.model.comparison == model.Comparison("m-2", "watch", "1")
        world.compare(times(EQUAL, 3))
        world.run().assert_ended("promoted", active="2")
        assert [each.step for each in world.happened if isinstance(each, experiment.StepStarted)] == [*EVERY_STEP]

    def test_a_given_dataset_is_not_assembled(self):
        assert [what.step for what in World(requested(dataset=DATA)).run().performed] == ["train", "evaluate"]
        assert [what.step for what in World().run().performed] == ["assemble", "train", "evaluate"]

    def test_what_the_gate_says_is_on_the_record_with_its_evidence(self):
        world = trained_well()
        world.compare(BETTER)
        [decided] = [each for each in world.happened if isinstance(each, experiment.Decided)]
        assert (decided.decision, decided.judgement.pairs) == ("promote", BETTER)
        assert decided.reason.startswith("proven better: alone right on 20 of 100 rows, the one in use on 0; evidence")

    def test_a_promotion_is_one_write(self):
        world = trained_well()
        world.compare(BETTER)
        decision = plan(world.state)
        assert {type(each) for each in decision.events} == {
            saga.StepStarted,
            saga.EffectPlanned,
            saga.EffectKept,
            saga.StepCompleted,
        }
        assert {type(told.command) for told in decision.commands} == {
            experiment.StartStep,
            model.PromoteChallenger,
            experiment.ReportPromoted,
        }

    def test_the_watch_is_over_when_its_time_is(self):
        world = World().reach("watch")
        world.tell(TimedOut("watch-timeout"))
        world.run().assert_ended("promoted", active="2")

    def test_the_steps_have_the_times_of_the_policy(self):
        policy = ModelPolicy(Training(patience=1, timeout=2), Gate(timeout=3), Watch(timeout=4))
        retraining = Retraining("m-2", requested(policy=policy))
        assert [retraining.timeout(step) for step in EVERY_STEP] == [1, 6, 6, 3, 0, 4]


class TestTheGates:
    @pytest.mark.parametrize("champion", [True, False])
    @pytest.mark.parametrize(
        ("rules", "accuracy", "why"),
        [
            (Gate(min_accuracy=0.95), 0.9, "right on 90.0% of 150 rows held out; at least 95.0% are asked for"),
            (Gate(), 0.6, "right on 60.0% of 150 rows held out; always naming the most common class is right on 60.0%"),
        ],
    )
    def test_what_is_no_good_needs_no_shadow(self, champion, rules, accuracy, why):
        poor = Evaluated({"accuracy": accuracy, "majority": 0.6}, Holdout(150, 15))
        world = World(requested(champion=champion, policy=ModelPolicy(gate=rules)), poor).run()
        world.assert_ended("discarded", active="1" if champion else None)
        assert world.reason == why
        assert not any(isinstance(each, model.ComparisonStarted) for each in world.happened)

    @pytest.mark.parametrize("champion", [True, False])
    def test_what_is_rare_need_not_be_found_more_often_than_the_most_common_class_is_right(self, champion):
        rare = Evaluated({"accuracy": 0.96, "majority": 0.98}, Holdout(150, 6))
        policy = ModelPolicy(gate=Gate(beat_majority=False))
        world = World(requested(champion=champion, dataset=DATA, policy=policy), rare).run()
        if champion:
            assert world.state.step == "shadow"
        else:
            world.assert_ended("promoted", active="1")

    def test_as_good_as_is_asked_for_is_good_enough(self):
        world = World(requested(policy=ModelPolicy(gate=Gate(min_accuracy=0.9)))).run()
        assert world.state.step == "shadow"

    def test_a_worse_challenger_is_discarded(self):
        world = trained_well()
        world.compare(WORSE)
        world.run().assert_ended("discarded", active="1")
        assert world.reason.startswith("proven worse: alone right on 0 of 100 rows, the one in use on 20")

    def test_without_evidence_nothing_is_promoted(self):
        world = trained_well()
        world.compare(times(EQUAL, 4))
        assert world.state.step == "shadow", "400 of 500 labels"
        world.compare(times(EQUAL, 5))
        world.run().assert_ended("discarded", active="1")
        assert world.reason.startswith("no evidence that it is better after 500 labels: undecided")

    def test_a_late_proof_counts_with_the_last_label(self):
        world = trained_well()
        world.compare(times(BETTER, 5))
        assert world.run().state.step == "watch"

    def test_a_shadow_has_its_time(self):
        world = trained_well()
        world.tell(TimedOut("shadow-timeout"))
        world.run().assert_ended("discarded", active="1")
        assert world.reason == "no evidence that it is better within 604800 s"

    def test_a_verdict_counts_by_the_odds_that_the_experiment_began_with(self):
        strict = trained_well(policy=ModelPolicy(gate=Gate(odds=1e6)))
        strict.compare(Pairs(other_only=12))
        assert strict.state.step == "shadow"
        lax = trained_well()
        lax.compare(Pairs(other_only=12))
        assert "shadow" in lax.state.completed

    def test_by_the_holdout_a_proof_is_enough(self):
        world = World(requested(policy=BY_HOLDOUT), structs.replace(GOOD, pairs=BETTER)).run()
        assert (world.state.step, world.model.active) == ("watch", "2")
        assert not any(what for what in world.events if getattr(what, "step", "") == "shadow")

    @pytest.mark.parametrize("pairs", [EQUAL, WORSE, Pairs()])
    def test_by_the_holdout_anything_less_than_a_proof_is_not(self, pairs):
        world = World(requested(policy=BY_HOLDOUT), structs.replace(GOOD, pairs=pairs)).run()
        world.assert_ended("discarded", active="1")
        assert world.reason.startswith("on the rows held out ")

    def test_when_the_version_before_is_proven_better_it_comes_back(self):
        world = World().reach("watch")
        world.compare(BETTER)
        assert world.experiment.undoing
        world.run().assert_ended("rolled_back", active="1")
        assert world.reason.startswith("the version before was proven better")

    def test_that_the_version_before_is_worse_does_not_end_the_watch(self):
        world = World().reach("watch")
        world.compare(WORSE)
        assert world.state.step == "watch"
        world.compare(times(WORSE, 3))
        world.run().assert_ended("promoted", active="2")


class TestWhatIsLateOrTwice:
    def test_a_verdict_on_the_shadow_means_nothing_to_the_watch(self):
        world = World().reach("watch")
        before = world.state
        world.compare(BETTER, "shadow")
        assert world.state == before

    def test_a_verdict_heard_again_changes_nothing(self):
        world = World().reach("watch")
        before = world.state
        world.tell(Heard(said_of_comparison(world.verdicts, "watch", BETTER)))
        assert world.state == before

    def test_undecided_verdicts_leave_no_trace(self):
        world = trained_well()
        recorded = len(world.events)
        world.compare(EQUAL)
        assert len(world.events) == recorded

    def test_a_timer_of_a_step_that_is_over_changes_nothing(self):
        world = World().reach("watch")
        before = world.state
        for step in EVERY_STEP[:-1]:
            world.tell(TimedOut(f"{step}-timeout"))
        assert world.state == before

    def test_its_own_rollback_is_no_news(self):
        world = World().reach("watch")
        world.compare(BETTER)
        world.run(until=lambda world: any(isinstance(each, model.RolledBack) for each in world.happened))
        before = world.state
        world.hear("model", [each for each in world.happened if isinstance(each, model.RolledBack)])
        assert world.state == before


class TestTheWayBack:
    @pytest.mark.parametrize("step", WAITED_FOR)
    def test_a_person_cancels(self, step):
        world = World().reach(step)
        world.person("experiment", experiment.Cancel("enough"))
        outcome = "rolled_back" if step == "watch" else "discarded"
        world.run().assert_ended(outcome, active="1")
        assert world.reason == "cancelled: enough"

    @pytest.mark.parametrize("step", WAITED_FOR)
    def test_a_person_rolls_the_model_back(self, step):
        """Whatever was in use is not any more: before the promotion it was what the version is compared with."""
        world = World()
        world.streams["model"] = structs.replace(world.model, history=("0",))
        world.reach(step)
        world.person("model", model.RollBack("complaints"))
        outcome, active = ("rolled_back", "1") if step == "watch" else ("discarded", "0")
        world.run().assert_ended(outcome, active=active)
        assert world.reason == "the model was rolled back: complaints"

    def test_a_person_goes_further_back_than_the_saga_would(self):
        world = World()
        world.streams["model"] = structs.replace(world.model, history=("0",))
        world.reach("watch")
        world.person("model", model.RollBack("", "0"))
        world.run().assert_ended("rolled_back", active="0")

    @pytest.mark.parametrize("moment", range(16))
    @pytest.mark.parametrize("champion", [True, False])
    def test_a_cancellation_that_the_saga_has_not_heard_of_yet_wins(self, moment, champion):
        """Right before any of its writes: not even the last one passes."""
        world = World(requested(champion=champion, dataset=None if champion else DATA))
        writes = []

        def cancel(decision):
            writes.append(decision)
            if len(writes) == moment + 1 and isinstance(world.experiment, experiment.Running):
                world.say("experiment", experiment.Cancel("enough"))

        world.before = cancel
        world.run()
        for pairs in (BETTER, times(EQUAL, 3)):
            if isinstance(world.state, saga.Running):
                world.compare(pairs)
                world.run()
        cancelled = any(isinstance(each, experiment.CancellationRequested) for each in world.happened)
        if not cancelled:
            assert moment >= len(writes)
            return world.assert_ended("promoted", active="2" if champion else "1")
        promoted = any(isinstance(each, model.Promoted) for each in world.happened)
        world.assert_ended("rolled_back" if promoted else "discarded", active="1" if champion else None)
        assert [each.name for each in world.refused] == ["cancellation_requested"]

    @pytest.mark.parametrize("step", ["assemble", "train", "evaluate"])
    def test_work_that_cannot_be_done_discards_the_version(self, step):
        world = World()
        world.run(lambda what: Rejected(what, "one class") if what.step == step else world.done(what))
        world.assert_ended("discarded", active="1")
        assert world.reason == f"{step}: one class"

    @pytest.mark.parametrize(
        ("step", "why"),
        [
            ("assemble", "assemble: not enough labelled rows within 604800 s (when last counted: 120 of 500)"),
            ("train", "train: not done within 300 s"),
            ("evaluate", "evaluate: not done within 300 s"),
        ],
    )
    def test_work_has_its_time(self, step, why):
        world = World().reach(step)
        world.step(lambda what: Stumbled(what, 1, 0.1, "120 of 500"))
        world.tell(TimedOut(f"{step}-timeout"))
        world.run().assert_ended("discarded", active="1")
        assert world.reason == why

    def test_nobody_waited_for_rows_in_vain_without_being_told(self):
        world = World().reach("assemble")
        world.tell(TimedOut("assemble-timeout"))
        world.run().assert_ended("discarded", active="1")
        assert world.reason == "assemble: not enough labelled rows within 604800 s"

    def test_a_dataset_of_that_name_that_is_somebody_elses_is_not_trained_on(self):
        world = World().reach("assemble")
        world.tell(Refused("dataset_already_registered", "this id belongs to other rows"))
        world.run().assert_ended("discarded", active="1")

    @pytest.mark.parametrize("step", ["evaluate", "shadow"])
    def test_a_champion_that_changed_meanwhile_is_not_replaced(self, step):
        """Also when the saga has not heard of it: to the model its evidence is about another version."""
        world = World()
        world.streams["model"] = structs.replace(world.model, history=("0",))
        world.reach(step)
        world.say("model", model.RollBack(""))
        world.run()
        if isinstance(world.state, saga.Running):
            world.compare(BETTER)
            world.run()
        world.assert_ended("discarded", active="0")
        assert world.reason == "version 0 is in use, not 1"

    def test_a_promotion_undone_before_it_is_watched(self):
        world = World().reach("shadow")
        world.compare(BETTER)
        world.run(until=lambda world: "promote" in world.state.completed)
        world.say("model", model.RollBack(""))
        world.run().assert_ended("rolled_back", active="1")
        assert [each.decision for each in world.happened if isinstance(each, experiment.Decided)] == ["promote"]
        assert any(isinstance(each, experiment.RollbackStarted) for each in world.happened)

    def test_a_rollback_in_the_last_moment_of_the_watch_is_no_promotion(self):
        """Right before the last write, and the saga has not heard of it."""
        world = World().reach("watch")
        world.tell(TimedOut("watch-timeout"))
        world.say("model", model.RollBack("complaints"))
        world.run().assert_ended("rolled_back", active="1")
        assert world.reason == "version 1 is in use, not 2"

    def test_reasons_of_any_length_fit(self):
        world = World().run(lambda what: Rejected(what, "x" * 5_000))
        world.assert_ended("discarded", active="1")
        assert len(world.reason) == 1_000


class TestPeople:
    def exhausted(self, step):
        world = World()
        return world.run(lambda what: Exhausted(what, "away") if what.step == step else world.done(what))

    @pytest.mark.parametrize("step", ["train", "evaluate"])
    def test_when_no_attempt_is_left_a_person_is_asked(self, step):
        world = self.exhausted(step)
        assert world.state.paused == f"{step}: away"
        world.resume()
        world.run().compare(BETTER)
        assert world.run().state.step == "watch"

    def test_a_training_that_may_have_happened_is_settled_by_doing_it_again(self):
        world = self.exhausted("train")
        assert world.state.effect("m-2-train").status == "unknown"
        world.resume()
        world.run()
        assert world.state.effect("m-2-train").status == "kept"

    def test_a_paused_saga_is_cancelled(self):
        world = self.exhausted("train")
        world.tell(Cancelled("enough"))
        world.run().assert_ended("discarded", active="1")

    def test_a_paused_saga_follows_no_verdict_and_the_next_one_counts(self):
        world = World().reach("shadow")
        world.tell(Refused("no_such_rule", "never heard of"))
        world.compare(BETTER)
        assert world.state.paused
        assert world.state.step == "shadow"
        world.resume()
        world.compare(BETTER)
        assert world.run().state.step == "watch"

    def test_a_paused_saga_takes_its_time(self):
        world = self.exhausted("train")
        before = world.state
        world.tell(TimedOut("train-timeout"))
        assert world.state == before

    def test_what_cannot_be_undone_alarms_and_waits_for_a_person(self):
        """No such refusal is known; should there be one, it is told, and a person may give up on that effect."""
        world = World().reach("watch")
        world.compare(BETTER)
        world.tell(Refused("no_such_rule", "never heard of"))
        assert world.state.stuck == "m-2-watch"
        assert world.state.paused == "no_such_rule: never heard of"
        world.waive("m-2-watch")
        world.run()
        assert world.state.effects[-1].status == "waived"
        assert world.model.active == "1", "the rest is undone"

    def test_a_promotion_that_is_waived_stays_and_is_not_discarded(self):
        world = World().reach("watch")
        world.compare(BETTER)
        world.step()
        world.tell(Refused("no_such_rule", "never heard of"))
        world.waive("m-2-promote")
        world.run()
        assert (world.model.active, world.model.versions["2"].discarded) == ("2", False)

    def test_what_no_rule_foresees_waits_for_a_person(self):
        world = World().reach("train")
        world.tell(Refused("no_such_rule", "never heard of"))
        assert world.state.paused == "no_such_rule: never heard of"
        world.resume()
        assert world.run().state.step == "shadow"


class TestListening:
    def test_to_its_own_kind_of_news_only(self):
        said = Said("model", "m")
        assert listens(said, model.Promoted("2", "1", "m-2", "")) is None
        assert listens(said, model.RolledBack("1", "2", None, "")) is None
        assert listens(Said("monitor", "m"), monitor.LabelsRecorded(())) is None
        assert listens(Said("experiment", "m-2"), experiment.StepStarted("train")) is None

    def test_each_saga_hears_of_its_own_experiment(self):
        heard = Heard(said_of_comparison(1, "shadow", BETTER, "m-2"))
        assert listens(Said("monitor", "m"), heard.event) == ("retraining-m-2", heard)
        back = model.RolledBack("1", "2", "m-2", "")
        assert listens(Said("model", "m"), back) == ("retraining-m-2", Heard(back))
        cancelled = experiment.CancellationRequested("")
        assert listens(Said("experiment", "m-2"), cancelled) == ("retraining-m-2", Cancelled("no reason given"))

    def test_the_saga_carries_all_that_was_asked_for(self):
        _, started = listens(Said("experiment", "m-2"), requested())
        state = saga.evolve(saga.NotStarted(), started)
        assert retraining_of(state) == Retraining("m-2", requested())
        assert (state.kind, state.subject, state.steps) == ("retraining", "experiment/m-2", EVERY_STEP)

    def test_the_longest_ids_fit(self):
        """A command's id is made of the saga's, the version of its stream, and the command's name."""
        longest = f"{'m' * 80}-999999999"
        names = [tag.partition(".")[2] for tag in _tags(experiment.Command) | _tags(model.Command)]
        assert is_valid_id(f"{longest}-data")
        assert all(is_valid_id(f"{saga_id(longest)}-999-9-{name}") for name in names)


def _tags(commands):
    return {command.__struct_config__.tag for command in commands.__args__}


outcomes = st.sampled_from(["done"] * 8 + ["rejected", "stumbled", "exhausted", "unreachable"])
interruptions = st.sampled_from(
    [None] * 6
    + ["cancel", "timeout", "resume", "roll back", "unheard rollback", "unheard cancel", "refused", "waive"]
    + ["better", "worse", "equal", "enough"] * 2
)
policies = st.sampled_from([POLICY, BY_HOLDOUT])
evaluations = st.sampled_from(
    [GOOD, structs.replace(GOOD, pairs=BETTER), Evaluated({"accuracy": 0, "majority": 1}, Holdout(9, 9))]
)


@settings(max_examples=160, deadline=None)
@given(st.lists(st.tuples(outcomes, interruptions), max_size=40), policies, evaluations, st.booleans(), st.booleans())
def test_every_way_ends_settled(script, policy, evaluated, champion, given):
    """For any course of events: no effect is open at the end, the experiment is concluded, the model is free for the
    next training, and what is in use is what was, or what passed the gate."""
    world = World(requested(policy=policy, champion=champion, dataset=DATA if given else None), evaluated)
    world.streams["model"] = structs.replace(world.model, history=("0",) if champion else ())
    for outcome, interruption in script:
        _interrupt(world, interruption)
        world.step(lambda what, outcome=outcome: _outcome(world, what, outcome))
        if isinstance(world.state, saga.Running):
            planned = [what.key for what in world.performed if what.key]
            assert set(planned) <= {effect.key for effect in world.state.effects}
    _bring_to_an_end(world)
    _assert_settled(world)


def _assert_settled(world):
    assert isinstance(world.state, saga.Ended)
    assert not {effect.status for effect in world.state.effects} & saga.OPEN
    assert isinstance(world.experiment, experiment.Ended)
    assert (world.model.training, world.model.comparison) == (None, None)
    waived = {effect.step for effect in world.state.effects if effect.status == "waived"}
    if world.experiment.outcome == "promoted":
        assert {effect.status for effect in world.state.effects if effect.step == "promote"} == {"kept"}
        decided = [each.decision for each in world.happened if isinstance(each, experiment.Decided)]
        assert decided == ["promote"]
        assert world.model.active == world.request.version
    elif "promote" not in waived:
        assert world.model.active != world.request.version
        assert all(known.discarded for number, known in world.model.versions.items() if number == world.id[2:])
    concluded = [each for each in world.told if isinstance(each, experiment.Conclude)]
    assert len(concluded) == 1


def _bring_to_an_end(world):
    """Nobody interrupts any more: people resume, timers fire, rollbacks are heard of."""
    for _ in range(40):
        world.run()
        if isinstance(world.state, saga.Ended):
            return
        if world.state.paused is not None:
            world.resume()
        else:
            world.tell(TimedOut(f"{world.state.step}-timeout"))
    raise AssertionError(world.state)


def _outcome(world, what, outcome):
    match outcome:
        case "done":
            return world.done(what)
        case "rejected":
            return Rejected(what, "no")
        case "stumbled":
            return Stumbled(what, world.state.attempts + 1, 0.1, "away")
        case "unreachable":
            return Unreachable(what, "away")
        case _:
            return Exhausted(what, "away")


def _interrupt(world, interruption):
    state = world.state
    if not isinstance(state, saga.Running):
        return
    verdicts = {"better": BETTER, "worse": WORSE, "equal": EQUAL, "enough": times(EQUAL, 5)}
    can_roll_back = world.model.active is not None and world.model.history
    match interruption:
        case "cancel":
            world.person("experiment", experiment.Cancel(""))
        case "unheard cancel":
            world.say("experiment", experiment.Cancel(""))
        case "timeout":
            world.tell(TimedOut(f"{state.step}-timeout"))
        case "roll back" if can_roll_back:
            world.person("model", model.RollBack(""))
        case "unheard rollback" if can_roll_back:
            world.say("model", model.RollBack(""))
        case "refused":
            world.tell(Refused("no_such_rule", "never heard of"))
        case "resume" if state.paused:
            world.resume()
        case "waive" if state.stuck:
            world.waive(state.stuck)
        case str() as pairs if pairs in verdicts and state.step in ("shadow", "watch"):
            world.compare(verdicts[pairs])
        case _:
            pass


def test_a_decision_is_never_empty_where_one_is_planned():
    """An empty decision would be planned again for ever."""
    world = World()
    while isinstance(world.state, saga.Running):
        planned = plan(world.state)
        if planned is None:
            world.compare(BETTER if world.state.step == "shadow" else times(EQUAL, 3))
            continue
        assert not isinstance(planned, Decision) or planned.events
        world.step()
