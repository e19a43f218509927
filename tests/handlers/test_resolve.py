"""What a request for a deployment becomes when everything it names is looked up."""

import msgspec
import pytest

from domain import environment, model, organization, stack
from domain.decider import Refusal
from domain.deployment import Open, Request, RolloutPolicy, deployment
from domain.environment import LiveRelease, Registered, ReserveRollout, RolloutReserved, RolloutSettled, Target
from domain.model_policy import ModelPolicy
from domain.pipeline import Feature, Pipeline
from domain.stack import ReleaseSpec, VersionPublished, VersionWithdrawn
from domain.strategy import Canary, CanaryStep
from handlers.resolve import Part, resolve

local, spare, far = Target("local"), Target("spare"), Target("far")
release = ReleaseSpec("shop", models={"ranker": "7", "embedder": "2.1"})
plain = ReleaseSpec("shop")
live = LiveRelease("d0", "1.0", "local", release=plain)
old = LiveRelease("d0", "1.0", "local")
"""Recorded before releases were kept with what is live."""


def known(*, targets=(local, spare, far), live=None, configuration=None, spec=plain, of_stack=None):
    """The states that a request meets, by category and id."""
    environment_events = [Registered("Prod", "acme", "production", configuration or {}, targets)]
    if live is not None:
        environment_events += [RolloutReserved("shop", "d0"), RolloutSettled("shop", "d0", live)]
    stack_events = [stack.Registered("Shop", "acme", "", of_stack or {}), VersionPublished("1.1", spec)]
    withdrawn = [VersionPublished("0.9", plain), VersionWithdrawn("0.9", "leaks")]
    return {
        ("environment", "prod"): environment.environment.fold(environment_events),
        ("stack", "shop"): stack.stack.fold([*stack_events, *withdrawn]),
    }


def request(**fields):
    return Request(**{"stack_id": "shop", "environment_id": "prod", "version": "1.1", "target": None, **fields})


async def resolved(asked, states, id="d1"):
    async def load(decider, id):
        return states.get((decider.category, id), decider.initial)

    return await resolve(deployment, id, asked, load)


async def opened(asked, **facts):
    parts = await resolved(asked, known(**facts))
    assert not isinstance(parts, Refusal), parts
    return parts[0].command


async def refusal(asked, id="d1", **facts):
    refused = await resolved(asked, known(**facts), id)
    assert isinstance(refused, Refusal), f"not refused: {refused}"
    return refused.name, refused.reason


async def test_a_request_opens_the_deployment_and_reserves_the_stacks_place_in_one_write():
    asked = request(targets=("spare", "local"), strategy="rolling", instances=4, policy=RolloutPolicy(healthy_checks=9))
    first, second = await resolved(asked, known(live=live))
    assert first == Part(
        deployment,
        "d1",
        Open(
            *("shop", "prod", "1.1", "rolling", RolloutPolicy(healthy_checks=9), plain),
            *(spare, live, (local,), 4, local),
        ),
    )
    assert second == Part(environment.environment, "prod", ReserveRollout("shop", "d1"))


# --- targets -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("names", [("far", "local", "spare"), ("spare", "far"), ("local",)])
async def test_targets_are_tried_in_the_order_of_the_request(names):
    command = await opened(request(targets=names))
    assert (command.target.name, *(target.name for target in command.fallbacks)) == names


async def test_one_target_stands_for_a_list_of_one():
    assert await opened(request(target="far")) == await opened(request(targets=("far",)))


async def test_the_only_target_of_an_environment_need_not_be_named():
    assert (await opened(request(), targets=(far,))).target == far


async def test_among_several_targets_one_must_be_named():
    name, reason = await refusal(request())
    assert name == "target_not_chosen"
    assert reason.endswith(": far, local, spare")
    assert await refusal(request(), targets=()) == ("target_not_chosen", "name one of the environment's targets: none")


async def test_unknown_targets_are_all_named():
    name, reason = await refusal(request(targets=("mars", "local", "moon")))
    assert name == "target_not_found"
    assert reason.endswith(" mars, moon")
    assert await refusal(request(target="moon")) == ("target_not_found", "the environment has no target moon")


async def test_no_target_is_named_twice():
    assert await refusal(request(targets=("local", "spare", "local"))) == (
        "target_not_chosen",
        "a target is named twice",
    )


async def test_either_one_target_is_named_or_several():
    assert (await refusal(request(target="local", targets=("local",))))[0] == "target_not_chosen"


async def test_a_deployment_may_go_to_another_target_than_the_live_one_which_stays_on_record():
    command = await opened(request(target="far"), live=live)
    assert (command.target, command.previous, command.previous_target) == (far, live, local)


async def test_where_nothing_is_live_there_is_nothing_before_it():
    command = await opened(request(target="far"))
    assert (command.previous, command.previous_target) == (None, None)


# --- the program's environment -------------------------------------------------------------------------------------


async def test_the_models_of_a_release_are_told_to_its_program():
    variables = (await opened(request(target="local"), spec=release)).release.environment
    assert variables == {"MODELS": '{"embedder":"2.1","ranker":"7"}'}
    assert msgspec.json.decode(variables["MODELS"]) == release.models


async def test_a_release_without_models_tells_nothing_of_them():
    assert (await opened(request(target="local"))).release == plain


async def test_variables_are_those_of_the_environment_the_stack_the_release_and_the_request_the_latest_wins():
    spec = ReleaseSpec("shop", environment={"C": "release", "D": "release"})
    asked = request(target="local", configuration={"D": "request"})
    facts = {"configuration": {"A": "environment", "B": "environment"}, "of_stack": {"B": "stack", "C": "stack"}}
    variables = (await opened(asked, spec=spec, **facts)).release.environment
    assert variables == {"A": "environment", "B": "stack", "C": "release", "D": "request"}


async def test_the_models_of_a_release_are_not_those_that_environment_and_stack_speak_of():
    facts = {"configuration": {"MODELS": "environment"}, "of_stack": {"MODELS": "stack"}}
    command = await opened(request(target="local"), spec=release, **facts)
    assert command.release.environment == {"MODELS": '{"embedder":"2.1","ranker":"7"}'}


# --- trainings -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "trigger"),
    [(model.Retrain(reason="new rows"), "command"), (model.AskForTraining("drift", "new rows"), "drift")],
)
async def test_a_training_says_what_asked_for_it(command, trigger):
    known = model.model.fold([model.Registered("M", (Feature("a"),), "b", None, "", Pipeline(), ModelPolicy())])

    async def load(decider, id):
        return known if decider is model.model else decider.initial

    reserved, opened = await resolve(model.model, "m", command, load)
    assert reserved == Part(model.model, "m", model.ReserveTraining("m-1", "1"))
    assert (opened.command.trigger, opened.command.reason) == (trigger, "new rows")


# --- what cannot be ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", ["canary", Canary((CanaryStep(5),))])
@pytest.mark.parametrize("targets", [("local",), ("far", "local")])
async def test_an_equal_baseline_needs_a_live_release_of_which_is_known_how_it_is_run(strategy, targets):
    asked = request(targets=targets, strategy=strategy)
    assert (await refusal(asked, live=old))[0] == "baseline_unknown"
    assert (await opened(asked, live=live)).previous == live


@pytest.mark.parametrize(
    ("strategy", "targets"),
    [
        ("canary", ("far",)),
        (Canary(baseline="stable"), ("local",)),
        ("blue_green", ("local",)),
        ("rolling", ("local",)),
    ],
)
async def test_where_no_baseline_is_started_nobody_needs_to_know(strategy, targets):
    assert (await opened(request(targets=targets, strategy=strategy), live=old)).previous == old
    assert (await opened(request(targets=targets, strategy=strategy))).previous is None


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"stack_id": "blog"}, "stack_not_found"),
        ({"environment_id": "moon"}, "environment_not_found"),
        ({"version": "9.9"}, "version_not_found"),
        ({"version": "0.9"}, "version_withdrawn"),
    ],
)
async def test_what_a_request_names_must_be_there(fields, name):
    assert (await refusal(request(target="local", **fields)))[0] == name


async def test_other_ids_grow_from_that_of_a_deployment_so_it_is_short():
    assert (await refusal(request(target="local"), id="d" * 81))[0] == "id_too_long"
    assert not isinstance(await resolved(request(target="local"), known(), "d" * 80), Refusal)


@pytest.mark.parametrize(
    ("decider", "command"),
    [
        (stack.stack, stack.Register("Shop", "acme")),
        (environment.environment, environment.Register("Prod", "acme")),
    ],
)
async def test_what_belongs_to_an_organization_needs_one(decider, command):
    async def load(_, id):
        return states.get(id, organization.Unknown())

    states = {}
    refused = await resolve(decider, "x", command, load)
    assert isinstance(refused, Refusal)
    assert refused.name == "organization_not_found"
    states["acme"] = organization.organization.fold([organization.Registered("Acme", "", {})])
    assert await resolve(decider, "x", command, load) == [Part(decider, "x", command)]
