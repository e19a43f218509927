"""Which steps each strategy has, what is wrong with one, and that no two effects of any rollouts share a key."""

import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import analysis
from domain.analysis import Analysis, Metric
from domain.decider import ID
from domain.deployment import Open, Requested, RolloutPolicy, deployment
from domain.environment import LiveRelease, Target
from domain.stack import ReleaseSpec
from domain.strategy import (
    PLAIN,
    BlueGreen,
    Canary,
    CanaryStep,
    Declared,
    RollingUpdate,
    Strategy,
    SwitchOver,
    declared,
    faults,
    kind_of,
    name_of,
    steps_of,
)
from sagas.course import UNDO, Attempt, Rollout, actions, effect_key
from tests.scenario import Scenario

local, spare = Target("local"), Target("spare")
release = ReleaseSpec("shop")
live = LiveRelease("d0", "1.0", "local", release=release)


def opened(strategy, instances=1):
    return Open(
        "shop",
        "prod",
        "1.1",
        strategy,
        RolloutPolicy(),
        release,
        local,
        live,
        (spare,),
        instances,
        previous_target=local,
    )


# --- steps ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("replaces", [True, False])
@pytest.mark.parametrize("instances", [1, 3])
def test_a_switch_over_is_the_plain_rollout(replaces, instances):
    assert steps_of(SwitchOver(), instances, replaces) == PLAIN
    assert PLAIN == ("validate", "allocate", "start", "health", "switch", "retire")


def test_blue_green_keeps_the_old_release_for_a_while_before_it_is_retired():
    kept = ("validate", "allocate", "start", "health", "switch", "keep", "keep-health", "retire")
    assert steps_of(BlueGreen(), 2, True) == kept


def test_a_canary_away_from_the_live_release_has_no_evidence_and_waits_for_a_person():
    assert steps_of(Canary(), 1, False, elsewhere=True) == (*PLAIN[:4], "gate", *PLAIN[4:])


def test_blue_green_where_nothing_is_live_has_nothing_to_keep():
    assert steps_of(BlueGreen(), 2, False) == PLAIN


def test_a_canary_with_an_equal_baseline_starts_the_old_release_again_and_then_grows_step_by_step():
    canary = Canary((CanaryStep(5), CanaryStep(50)))
    assert steps_of(canary, 1, True) == (
        *("validate", "allocate", "start", "health", "baseline", "baseline-health"),
        *("canary-1", "canary-2", "switch", "retire"),
    )


def test_a_canary_against_the_stable_release_starts_no_baseline():
    canary = Canary((CanaryStep(5), CanaryStep(50), CanaryStep(99)), baseline="stable")
    assert steps_of(canary, 1, True) == (*PLAIN[:4], "canary-1", "canary-2", "canary-3", "switch", "retire")


def test_a_canary_where_nothing_is_live_has_nothing_to_compare_with():
    assert steps_of(Canary(), 1, False) == PLAIN


@pytest.mark.parametrize(("instances", "batch", "batches"), [(1, 1, 1), (3, 1, 3), (5, 2, 3), (4, 2, 2), (3, 3, 1)])
@pytest.mark.parametrize("replaces", [True, False])
def test_a_rolling_update_goes_through_every_batch_after_one_validation(instances, batch, batches, replaces):
    first, *rest = steps_of(RollingUpdate(batch), instances, replaces)
    assert first == "validate"
    kinds = ("allocate", "start", "health", "switch", "retire")
    assert rest == [f"{kind}-{number}" for number in range(1, batches + 1) for kind in kinds]


@pytest.mark.parametrize(
    ("step", "kind"),
    [("start", "start"), ("start-2", "start"), ("canary-12", "canary"), ("baseline-health", "baseline-health")],
)
def test_the_kind_of_a_step_is_its_name_without_the_number(step, kind):
    assert kind_of(step) == kind


def test_a_timeout_is_that_of_the_kind_of_step():
    policy = RolloutPolicy({"health": 90.0, "start": 5.0}, default_timeout=30.0)
    assert [policy.timeout(step) for step in ("health", "health-2", "start-1", "switch")] == [90.0, 90.0, 5.0, 30.0]


def test_a_baseline_has_as_much_time_to_be_healthy_as_the_new_release():
    assert RolloutPolicy({"health": 90.0}).timeout("baseline-health") == 90.0


# --- names and declarations ----------------------------------------------------------------------------------------

DEFAULTS: dict[Strategy, Declared] = {
    "switch_over": SwitchOver(),
    "rolling": RollingUpdate(batch=1),
    "blue_green": BlueGreen(keep=300.0),
    "canary": Canary(
        (CanaryStep(5), CanaryStep(25), CanaryStep(50)),
        Analysis(),
        baseline="equal",
        on_inconclusive="ask",
        patience=3600.0,
    ),
}


@pytest.mark.parametrize("name", DEFAULTS)
def test_a_strategy_by_name_stands_for_its_defaults(name):
    assert declared(name) == DEFAULTS[name]
    assert declared(declared(name)) == DEFAULTS[name]
    assert steps_of(name, 1, True) == steps_of(DEFAULTS[name], 1, True)
    assert name_of(name) == name_of(DEFAULTS[name]) == name


@pytest.mark.parametrize("name", DEFAULTS)
def test_the_record_of_a_request_by_name_shows_what_it_stood_for(name):
    (requested,) = deployment.decide(opened(name), deployment.initial)
    assert requested.strategy == DEFAULTS[name]
    assert msgspec.json.decode(msgspec.json.encode(requested), type=deployment.events) == requested


def test_a_request_recorded_before_there_were_strategies_still_reads():
    recorded = (
        b'{"type":"deployment.requested","stack_id":"shop","environment_id":"prod","version":"1.1",'
        b'"strategy":"switch_over","policy":{},"release":{"program":"shop"},"target":{"name":"local"},'
        b'"previous":{"deployment_id":"d0","version":"1.0","target":"local"}}'
    )
    requested = msgspec.json.decode(recorded, type=deployment.events)
    assert isinstance(requested, Requested)
    state = deployment.fold([requested])
    assert (state.steps, state.targets, state.instances) == (PLAIN, ("local",), 1)
    assert requested.previous == LiveRelease("d0", "1.0", "local", instances=1, attempt=1, release=None)


@pytest.mark.parametrize(
    "document",
    [
        b'{"kind":"canary","steps":[]}',
        b'{"kind":"canary","steps":[{"weight":0}]}',
        b'{"kind":"canary","steps":[{"weight":101}]}',
        b'{"kind":"canary","sticky_header":"two words"}',
        b'{"kind":"canary","pause":3}',
        b'{"kind":"rolling","batch":0}',
        b'{"kind":"blue_green","keep":0}',
        b'{"kind":"blue-green"}',
        b'"recreate"',
    ],
)
def test_what_can_never_be_a_strategy_is_no_command_at_all(document):
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(document, type=Strategy)


# --- faults --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", DEFAULTS.values())
def test_the_defaults_are_free_of_faults(strategy):
    assert faults(strategy, instances=1) == []


def test_a_batch_is_at_most_all_instances():
    assert faults(RollingUpdate(3), instances=3) == []
    assert faults(RollingUpdate(3), instances=2) == ["a batch of 3 is more than 2 instances"]


def test_weights_never_shrink_but_may_stay():
    assert faults(Canary((CanaryStep(5), CanaryStep(5, pause=60))), 1) == []
    assert faults(Canary((CanaryStep(25), CanaryStep(5))), 1) == ["step 2 has the weight 5, less than the 25 before it"]


def test_an_equal_baseline_needs_as_much_room_as_the_canary():
    assert faults(Canary((CanaryStep(50),)), 1) == []
    assert faults(Canary((CanaryStep(51),)), 1) == ["the weight 51 leaves no room for an equal baseline: at most 50"]


def test_a_stable_baseline_needs_at_least_some_traffic():
    assert faults(Canary((CanaryStep(99),), baseline="stable"), 1) == []
    (fault,) = faults(Canary((CanaryStep(100),), baseline="stable"), 1)
    assert fault == "the weight 100 leaves nothing to compare with: at most 99"


def test_without_analysis_a_person_opens_the_last_gate():
    assert faults(Canary((CanaryStep(5), CanaryStep(25, gate=True)), analysis=None), 1) == []
    (fault,) = faults(Canary((CanaryStep(5, gate=True), CanaryStep(25)), analysis=None), 1)
    assert fault == "without analysis the last step needs a gate: nothing is promoted on no evidence"


contradictory = Analysis(latency_quantiles=(0.9, 0.5, 2.0), measurements=(Metric("refunds"), Metric("refunds")))


def test_all_faults_are_named_at_once():
    strategy = Canary((CanaryStep(80), CanaryStep(60), CanaryStep(40)), contradictory)
    of_analysis = analysis.faults(contradictory)
    assert len(of_analysis) == 3
    assert faults(strategy, 1) == [
        "step 2 has the weight 60, less than the 80 before it",
        "step 3 has the weight 40, less than the 60 before it",
        "the weight 80 leaves no room for an equal baseline: at most 50",
        *of_analysis,
    ]


@pytest.mark.parametrize(
    ("strategy", "instances"),
    [
        (Canary((CanaryStep(80), CanaryStep(60)), contradictory), 1),
        (Canary((CanaryStep(100), CanaryStep(60)), None, baseline="stable"), 1),
        (RollingUpdate(9), 8),
    ],
)
def test_a_request_with_an_invalid_strategy_is_refused_with_every_fault_before_anything_starts(strategy, instances):
    Scenario(deployment).when(opened(strategy, instances)).refused("strategy_invalid")
    refusal = deployment.decide(opened(strategy, instances), deployment.initial)
    assert faults(strategy, instances)
    assert all(fault in refusal.reason for fault in faults(strategy, instances))


# --- effect keys ---------------------------------------------------------------------------------------------------

# Ids made of the words that keys are made of: the nastiest there are.
words = st.sampled_from(["d", "1", "2", "t2", "b", "c", "r", *UNDO])
ids = st.lists(words, min_size=1, max_size=6).map("-".join)
instance_names = (
    st.integers(1, 50) | st.just("b") | st.builds("{}-{}".format, st.integers(1, 50), st.sampled_from("cr"))
)


def read_back(key):
    """What a key was made from: the last word that names an operation divides the id from the rest."""
    found = re.fullmatch(rf"(.+)-({'|'.join(UNDO)})(?:-([0-9]+(?:-[cr])?|b))?(?:-t([0-9]+))?", key)
    assert found, key
    id, what, instance, attempt = found.groups()
    named = instance if instance and not instance.isdigit() else int(instance or 1)
    return id, what, named, int(attempt or 1)


@given(ids, st.sampled_from(list(UNDO)), instance_names, st.integers(1, 11))
def test_an_effects_key_tells_its_deployment_operation_instance_and_attempt(id, what, instance, attempt):
    """As everything can be read back, two effects of any deployments never share a key."""
    assert read_back(effect_key(id, what, instance, attempt)) == (id, what, instance, attempt)


some_strategies = st.one_of(
    st.sampled_from([SwitchOver(), BlueGreen(), Canary(), Canary(baseline="stable")]),
    st.builds(RollingUpdate, st.integers(1, 4)),
)


@given(st.sets(ids, min_size=1, max_size=4), some_strategies, st.integers(1, 4), st.sampled_from([None, live]))
def test_no_two_effects_of_any_rollouts_share_a_key(deployments, strategy, instances, previous):
    keys = [
        action.key
        for id in deployments
        for number in (1, 2)
        for attempt in [Attempt(_rollout(id, strategy, instances, previous), number)]
        for step in attempt.steps
        for action in actions(attempt, step)
    ]
    assert keys
    assert len(keys) == len(set(keys))


def _rollout(id, strategy, instances, previous):
    about = ("shop", "prod", "1.1", RolloutPolicy(), release, local, previous)
    return Rollout(id, *about, strategy, (spare,), instances, local)


@pytest.mark.parametrize("instance", [50, "b", "50-c", "50-r"])
@pytest.mark.parametrize("what", UNDO)
def test_the_key_of_the_longest_id_that_a_deployment_may_have_still_is_an_id(what, instance):
    assert re.fullmatch(ID, effect_key("d" * 80, what, instance, attempt=11))
