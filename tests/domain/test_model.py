"""A model: it does, it refuses, it stays quiet. The retraining saga's part is in tests/sagas."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.decider import Refusal
from domain.model import (
    AddVersion,
    AskForTraining,
    Comparison,
    ComparisonEnded,
    ComparisonStarted,
    Configure,
    Configured,
    DiscardVersion,
    EndComparison,
    Holdout,
    Known,
    Promote,
    PromoteChallenger,
    Promoted,
    Register,
    Registered,
    ReleaseTraining,
    ReserveTraining,
    RestoreChampion,
    Retrain,
    RollBack,
    RolledBack,
    StartComparison,
    TrainingReleased,
    TrainingReserved,
    VersionAdded,
    VersionDiscarded,
    model,
)
from domain.model_policy import ModelPolicy, Training
from domain.pipeline import Feature, Pipeline
from tests.scenario import Scenario

features = (Feature("amount"), Feature("country", "category"))
registered = Registered("fraud", features, "label", None, "", Pipeline(), ModelPolicy())
tree = Pipeline("decision_tree", {"max_depth": 3})
longer = ModelPolicy(Training(timeout=1_200))


def add(version):
    return AddVersion(
        version, f"m-{version}", "a" * 64, "d", "c" * 64, 70, ("0", "1"), {"accuracy": 0.9}, Holdout(30, 3)
    )


def added(version):
    return VersionAdded(
        version, f"m-{version}", "a" * 64, "d", "c" * 64, 70, ("0", "1"), {"accuracy": 0.9}, Holdout(30, 3)
    )


def in_use(*versions):
    """One after the other, each trained and promoted."""
    previous = (None, *versions)
    for version, before in zip(versions, previous, strict=False):
        yield TrainingReserved(f"m-{version}", version)
        yield added(version)
        yield Promoted(version, before, f"m-{version}", "better")
        yield TrainingReleased(f"m-{version}")


def training(version):
    return TrainingReserved(f"m-{version}", version)


def given_model(*events):
    return Scenario(model).given(registered, *events)


class TestRegistering:
    def test_a_model_is_registered(self):
        Scenario(model).when(Register("fraud", features, "label")).then(registered)

    def test_an_id_belongs_to_one_model(self):
        given_model().when(Register("other", features, "label")).refused("model_already_registered")

    @pytest.mark.parametrize(
        "command",
        [Register("m", (*features, Feature("amount", "category")), "label"), Register("m", features, "country")],
        ids=["a feature twice", "the target as a feature"],
    )
    def test_columns_are_told_apart_by_name(self, command):
        Scenario(model).when(command).refused("features_invalid")

    def test_every_fault_is_named_at_once(self):
        refused = model.decide(Register("m", (*features, Feature("amount")), "country"), model.initial)
        assert isinstance(refused, Refusal)
        assert refused.reason == "the feature 'amount' is named twice; 'country' is both a feature and the target"

    @pytest.mark.parametrize(
        "command", [Configure(), Retrain(), Promote("1"), RollBack(), ReserveTraining("m-1", "1"), add("1")]
    )
    def test_an_unknown_model_takes_nothing_else(self, command):
        Scenario(model).when(command).refused("model_not_found")


class TestConfiguring:
    def test_what_is_given_is_replaced(self):
        given_model().when(Configure(pipeline=tree)).then(Configured(tree, ModelPolicy()))
        given_model().when(Configure(policy=longer)).then(Configured(Pipeline(), longer))

    def test_the_same_again_changes_nothing(self):
        given_model().when(Configure()).nothing_happens()
        given_model(Configured(tree, longer)).when(Configure(tree, longer)).nothing_happens()


class TestTraining:
    def test_one_at_a_time(self):
        given_model().when(ReserveTraining("m-1", "1")).then(training("1"))
        given_model(training("1")).when(ReserveTraining("m-2", "2")).refused("training_in_progress")

    def test_a_number_is_never_given_again(self):
        ended = (training("1"), TrainingReleased("m-1"))
        given_model(*ended).when(ReserveTraining("m-1", "1")).refused("version_taken")
        given_model(*ended).when(ReserveTraining("m-2", "2")).then(training("2"))

    def test_it_is_released_by_its_own_experiment_and_once(self):
        given_model(training("1")).when(ReleaseTraining("m-1")).then(TrainingReleased("m-1"))
        given_model(training("1")).when(ReleaseTraining("m-0")).nothing_happens()
        given_model(training("1"), TrainingReleased("m-1")).when(ReleaseTraining("m-1")).nothing_happens()

    def test_a_version_is_added_once(self):
        given_model(training("1")).when(add("1")).then(added("1"))
        given_model(training("1"), added("1")).when(add("1")).nothing_happens()

    def test_what_was_not_resolved_is_no_training(self):
        given_model().when(Retrain()).refused("training_not_resolved")
        given_model().when(AskForTraining("drift", "")).refused("training_not_resolved")

    def test_as_the_end_of_a_promotion_it_is_released_only_while_that_version_is_in_use(self):
        promoted = (*in_use("1"), training("2"), added("2"), Promoted("2", "1", "m-2", "better"))
        given_model(*promoted).when(ReleaseTraining("m-2", "2")).then(TrainingReleased("m-2"))
        back = (*promoted, RolledBack("1", "2", "m-2", "complaints"))
        given_model(*back).when(ReleaseTraining("m-2", "2")).refused("champion_changed")
        given_model(*back).when(ReleaseTraining("m-2")).then(TrainingReleased("m-2"))
        given_model(*back, TrainingReleased("m-2")).when(ReleaseTraining("m-2", "2")).nothing_happens()

    def test_a_version_is_discarded_once_and_not_while_it_is_in_use(self):
        discarded = VersionDiscarded("1", "worse")
        given_model(training("1"), added("1")).when(DiscardVersion("1", "worse")).then(discarded)
        given_model(training("1"), added("1"), discarded).when(DiscardVersion("1", "worse")).nothing_happens()
        given_model(*in_use("1")).when(DiscardVersion("1", "worse")).nothing_happens()
        given_model().when(DiscardVersion("1", "worse")).nothing_happens()


class TestComparing:
    shadow = ComparisonStarted("m-2", "shadow", "2", "1")
    challenged = (*in_use("1"), training("2"), added("2"))

    def test_beside_the_version_in_use(self):
        given_model(*self.challenged).when(StartComparison("m-2", "shadow", "2")).then(self.shadow)

    def test_told_twice_it_begins_once(self):
        given_model(*self.challenged, self.shadow).when(StartComparison("m-2", "shadow", "2")).nothing_happens()

    def test_one_of_a_kind_ends_before_the_other_begins(self):
        again = StartComparison("m-2", "watch", "1")
        given_model(*self.challenged, self.shadow).when(again).refused("comparison_in_progress")

    def test_there_must_be_another_version_in_use(self):
        first = (training("1"), added("1"))
        given_model(*first).when(StartComparison("m-1", "shadow", "1")).refused("champion_changed")
        given_model(*in_use("1")).when(StartComparison("m-1", "watch", "1")).refused("champion_changed")

    def test_it_is_ended_by_its_own_experiment_and_once(self):
        begun = (*self.challenged, self.shadow)
        given_model(*begun).when(EndComparison("m-2")).then(ComparisonEnded("m-2"))
        given_model(*begun).when(EndComparison("m-1")).nothing_happens()
        given_model(*begun, ComparisonEnded("m-2")).when(EndComparison("m-2")).nothing_happens()


class TestPromoting:
    challenged = (*in_use("1"), training("2"), added("2"))
    better = PromoteChallenger("m-2", "2", "1", "better")

    def test_a_challenger_takes_the_place_of_the_version_it_was_compared_with(self):
        given_model(*self.challenged).when(self.better).then(Promoted("2", "1", "m-2", "better"))

    def test_the_first_one_takes_an_empty_place(self):
        first = PromoteChallenger("m-1", "1", None, "first")
        given_model(training("1"), added("1")).when(first).then(Promoted("1", None, "m-1", "first"))

    def test_told_twice_it_happens_once(self):
        given_model(*self.challenged, Promoted("2", "1", "m-2", "better")).when(self.better).nothing_happens()

    def test_not_when_another_version_is_in_use_by_now(self):
        changed = RolledBack("1", "2", None, "")
        given_model(*in_use("1", "2"), changed, training("3"), added("3")).when(
            PromoteChallenger("m-3", "3", "2", "better")
        ).refused("champion_changed")

    def test_by_hand_without_evidence(self):
        given_model(*self.challenged, TrainingReleased("m-2")).when(Promote("2", "I know")).then(
            Promoted("2", "1", None, "I know")
        )

    def test_by_hand_it_must_exist_and_is_promoted_once(self):
        given_model(*in_use("1")).when(Promote("2")).refused("version_not_found")
        given_model(*in_use("1")).when(Promote("1")).nothing_happens()

    def test_not_by_hand_during_a_training(self):
        given_model(*self.challenged).when(Promote("2")).refused("training_in_progress")


class TestRollingBack:
    def test_to_the_version_before(self):
        given_model(*in_use("1", "2", "3")).when(RollBack("bad")).then(RolledBack("2", "3", None, "bad"))

    def test_to_any_version_that_once_was_in_use(self):
        given_model(*in_use("1", "2", "3")).when(RollBack("bad", "1")).then(RolledBack("1", "3", None, "bad"))

    def test_not_to_one_that_never_was(self):
        given_model(*in_use("1", "2"), training("3"), added("3")).when(RollBack("bad", "3")).refused(
            "version_never_active"
        )

    def test_to_the_one_in_use_is_nothing(self):
        given_model(*in_use("1", "2")).when(RollBack("bad", "2")).nothing_happens()

    def test_there_must_be_something_to_go_back_from_and_to(self):
        given_model().when(RollBack()).refused("no_active_version")
        given_model(*in_use("1")).when(RollBack()).refused("nothing_to_roll_back_to")

    def test_one_goes_back_step_by_step(self):
        back = RolledBack("2", "3", None, "bad")
        given_model(*in_use("1", "2", "3"), back).when(RollBack()).then(RolledBack("1", "2", None, ""))
        given_model(*in_use("1", "2", "3"), RolledBack("1", "3", None, "")).when(RollBack()).refused(
            "nothing_to_roll_back_to"
        )

    def test_while_versions_are_compared_it_ends_the_comparison_and_the_experiment(self):
        watched = (*in_use("1"), training("2"), added("2"), Promoted("2", "1", "m-2", "better"))
        compared = ComparisonStarted("m-2", "watch", "1", "2")
        given_model(*watched, compared).when(RollBack("bad")).then(
            RolledBack("1", "2", "m-2", "bad"), ComparisonEnded("m-2")
        )

    def test_during_a_training_it_ends_the_experiment_whose_champion_goes(self):
        given_model(*in_use("1", "2"), training("3")).when(RollBack("bad")).then(RolledBack("1", "2", "m-3", "bad"))

    def test_the_saga_restores_what_it_replaced_and_once(self):
        restore = RestoreChampion("m-2", "2", "1", "worse")
        back = RolledBack("1", "2", "m-2", "worse")
        given_model(*in_use("1", "2")).when(restore).then(back)
        given_model(*in_use("1", "2"), back).when(restore).nothing_happens()

    def test_the_saga_takes_the_first_version_away_again(self):
        restore = RestoreChampion("m-1", "1", None, "cancelled")
        state = model.fold([registered, *in_use("1"), *model.decide(restore, model.fold([registered, *in_use("1")]))])
        assert (state.active, state.history) == (None, ())


def test_the_state_says_what_a_training_needs():
    state = model.fold([registered, *in_use("1", "2"), training("3"), added("3"), TestComparing.shadow])
    assert isinstance(state, Known)
    assert (state.active, state.history, state.next_version, state.training) == ("2", ("1",), "4", "m-3")
    assert state.comparison == Comparison("m-2", "shadow", "2")
    assert set(state.versions) == {"1", "2", "3"}


numbers = st.sampled_from(["1", "2", "3", "4"])
commands = st.one_of(
    st.builds(lambda v: ReserveTraining(f"m-{v}", v), numbers),
    st.builds(lambda v: ReleaseTraining(f"m-{v}"), numbers),
    st.builds(add, numbers),
    st.builds(lambda v, kind, other: StartComparison(f"m-{v}", kind, other), numbers, st.just("shadow"), numbers),
    st.builds(lambda v: EndComparison(f"m-{v}"), numbers),
    st.builds(lambda v, c: PromoteChallenger(f"m-{v}", v, c, ""), numbers, st.none() | numbers),
    st.builds(lambda v, c: RestoreChampion(f"m-{v}", v, c, ""), numbers, st.none() | numbers),
    st.builds(lambda v: DiscardVersion(v, ""), numbers),
    st.builds(Promote, numbers),
    st.builds(lambda v: RollBack("", v), st.none() | numbers),
)


@given(st.lists(commands, max_size=60))
def test_whatever_is_asked_the_version_in_use_exists_and_the_way_back_leads_elsewhere(asked):
    """Nothing in use was never added, no version is its own predecessor, and a repeated command changes nothing."""
    state = model.fold([registered])
    for command in asked:
        if isinstance(command, PromoteChallenger) and command.version not in state.versions:
            continue  # the saga adds before it promotes
        if isinstance(command, RestoreChampion) and command.champion not in (None, *state.history):
            continue  # and restores what it replaced
        decided = model.decide(command, state)
        if isinstance(decided, Refusal):
            continue
        state = model.fold(decided, state)
        assert state.active is None or state.active in state.versions
        assert state.active not in state.history
        assert len(set(state.history)) == len(state.history)
        if not isinstance(command, RollBack | ReserveTraining):
            assert model.decide(command, state) == () or isinstance(command, StartComparison)
