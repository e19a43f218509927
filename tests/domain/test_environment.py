"""An environment: its targets and what is live. Circuit breakers are in test_circuit."""

import msgspec

from domain.environment import (
    AddTarget,
    Configure,
    Configured,
    LiveRelease,
    Register,
    Registered,
    RemoveTarget,
    ReserveRollout,
    RolloutReserved,
    RolloutSettled,
    SettleRollout,
    Target,
    TargetAdded,
    TargetRemoved,
    environment,
)
from domain.stack import ReleaseSpec
from tests.scenario import Scenario

local = Target("local")
registered = Registered("prod", "acme", "production", {}, (local,))
reserved = RolloutReserved("shop", "d1")
live = LiveRelease("d1", "1.0", "local", instances=2, attempt=1, release=ReleaseSpec("shop"))
settled = RolloutSettled("shop", "d1", live)


def test_an_environment_is_registered_with_its_targets():
    Scenario(environment).when(Register("prod", "acme", "production", targets=(local,))).then(registered)


def test_targets_have_distinct_names():
    Scenario(environment).when(Register("p", "acme", targets=(local, local))).refused("target_already_exists")
    clash = AddTarget(Target("local", "docker"))
    Scenario(environment).given(registered).when(clash).refused("target_already_exists")


def test_a_target_is_added_once():
    other = Target("other")
    Scenario(environment).given(registered).when(AddTarget(other)).then(TargetAdded(other))
    Scenario(environment).given(registered).when(AddTarget(local)).nothing_happens()


def test_an_idle_target_is_removed():
    Scenario(environment).given(registered).when(RemoveTarget("local")).then(TargetRemoved("local"))


def test_a_target_in_use_stays():
    for given in ((registered, reserved), (registered, reserved, settled)):
        Scenario(environment).given(*given).when(RemoveTarget("local")).refused("target_in_use")


def test_an_unknown_target_cannot_be_removed():
    Scenario(environment).given(registered).when(RemoveTarget("nowhere")).refused("target_not_found")


def test_a_rollout_reserves_the_stacks_place():
    Scenario(environment).given(registered).when(ReserveRollout("shop", "d1")).then(reserved)


def test_one_rollout_of_a_stack_at_a_time():
    Scenario(environment).given(registered, reserved).when(ReserveRollout("shop", "d2")).refused("rollout_in_progress")


def test_rollouts_of_different_stacks_do_not_meet():
    Scenario(environment).given(registered, reserved).when(ReserveRollout("blog", "d2")).then(
        RolloutReserved("blog", "d2")
    )


def test_reserving_again_for_the_same_deployment_changes_nothing():
    Scenario(environment).given(registered, reserved).when(ReserveRollout("shop", "d1")).nothing_happens()


def test_a_settled_rollout_frees_the_place_and_says_what_is_live():
    Scenario(environment).given(registered, reserved).when(SettleRollout("shop", "d1", live)).then(settled)
    state = environment.fold([registered, reserved, settled])
    assert state.placement("shop").live == live
    assert state.placement("shop").rollout is None


def test_what_is_live_may_move_to_another_target_which_then_is_the_one_in_use():
    moved = LiveRelease("d2", "1.1", "other", instances=1, attempt=2, release=ReleaseSpec("shop"))
    events = [registered, TargetAdded(Target("other")), reserved, settled, RolloutReserved("shop", "d2")]
    under_way = Scenario(environment).given(*events)
    under_way.when(SettleRollout("shop", "d2", moved)).then(RolloutSettled("shop", "d2", moved))
    after = [*events, RolloutSettled("shop", "d2", moved)]
    Scenario(environment).given(*after).when(RemoveTarget("other")).refused("target_in_use")
    Scenario(environment).given(*after).when(RemoveTarget("local")).then(TargetRemoved("local"))


def test_a_release_recorded_before_there_were_instances_is_one_of_the_first_attempt():
    recorded = (
        b'{"type":"environment.rollout_settled","stack_id":"shop","deployment_id":"d1",'
        b'"live":{"deployment_id":"d1","version":"1.0","target":"local"}}'
    )
    event = msgspec.json.decode(recorded, type=environment.events)
    assert event.live == LiveRelease("d1", "1.0", "local", instances=1, attempt=1, release=None)


def test_a_snapshot_keeps_what_is_live_and_how_it_is_run():
    state = environment.fold([registered, reserved, settled])
    assert msgspec.json.decode(msgspec.json.encode(state), type=environment.states) == state


def test_only_the_holder_settles():
    Scenario(environment).given(registered, reserved).when(SettleRollout("shop", "d2", None)).refused(
        "rollout_not_reserved"
    )


def test_the_configuration_is_replaced():
    Scenario(environment).given(registered).when(Configure({"A": "1"})).then(Configured({"A": "1"}))


def test_an_unknown_environment_answers_for_nothing():
    Scenario(environment).when(ReserveRollout("shop", "d1")).refused("environment_not_found")
