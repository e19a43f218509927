"""Commands that need more than their own aggregate: what they mean, with everything looked up."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple

import msgspec

from domain import deployment, environment, organization, stack
from domain.decider import Decider, Refusal
from domain.strategy import Canary, Strategy, declared

Load = Callable[[Decider[Any, Any, Any], str], Awaitable[Any]]
"""The current state of an aggregate."""


_LONGEST_ID: Final = 80
"""The ids of a deployment's saga, effects and reports are made of its own, and ids have at most 128 characters."""


class Part(NamedTuple):
    """One aggregate's share of a command. The first part is the one the command was addressed to."""

    decider: Decider[Any, Any, Any]
    id: str
    command: Any


async def resolve(decider: Decider[Any, Any, Any], id: str, command: Any, load: Load) -> list[Part] | Refusal:
    """What each aggregate is told. Most commands concern just one."""
    if isinstance(command, deployment.Request):
        return await _deployment_request(id, command, load)
    if isinstance(command, stack.Register | environment.Register):
        owner = await load(organization.organization, command.organization_id)
        if isinstance(owner, organization.Unknown):
            return Refusal("organization_not_found", f"there is no organization {command.organization_id}")
    return [Part(decider, id, command)]


async def _deployment_request(id: str, request: deployment.Request, load: Load) -> list[Part] | Refusal:
    """Look everything up once, and reserve the stack's place in the environment in the same write."""
    if len(id) > _LONGEST_ID:
        return Refusal(
            "id_too_long", f"the id of a deployment has at most {_LONGEST_ID} characters: others grow from it"
        )
    known_stack = await load(stack.stack, request.stack_id)
    if isinstance(known_stack, stack.Unknown):
        return Refusal("stack_not_found", f"there is no stack {request.stack_id}")
    known_environment = await load(environment.environment, request.environment_id)
    if isinstance(known_environment, environment.Unknown):
        return Refusal("environment_not_found", f"there is no environment {request.environment_id}")
    opened = _opened(request, known_stack, known_environment)
    if isinstance(opened, Refusal):
        return opened
    return [
        Part(deployment.deployment, id, opened),
        Part(environment.environment, request.environment_id, environment.ReserveRollout(request.stack_id, id)),
    ]


def _opened(
    request: deployment.Request, known_stack: stack.Known, known_environment: environment.Known
) -> deployment.Open | Refusal:
    release = known_stack.versions.get(request.version)
    if release is None:
        withdrawn = request.version in known_stack.withdrawn
        return Refusal(
            "version_withdrawn" if withdrawn else "version_not_found",
            f"version {request.version} of stack {request.stack_id} {'was withdrawn' if withdrawn else 'is unknown'}",
        )
    targets = _targets(request, known_environment)
    if isinstance(targets, Refusal):
        return targets
    live = known_environment.placement(request.stack_id).live
    without_baseline = _without_baseline(request.strategy, live, targets)
    if without_baseline is not None:
        return without_baseline
    return deployment.Open(
        request.stack_id,
        request.environment_id,
        request.version,
        request.strategy,
        request.policy,
        msgspec.structs.replace(release, environment=_variables(request, release, known_stack, known_environment)),
        targets[0],
        live,
        targets[1:],
        request.instances,
        known_environment.targets.get(live.target) if live else None,
    )


def _variables(
    request: deployment.Request,
    release: stack.ReleaseSpec,
    known_stack: stack.Known,
    known_environment: environment.Known,
) -> stack.Configuration:
    """From the general to the particular."""
    models = {"MODELS": msgspec.json.encode(release.models, order="sorted").decode()} if release.models else {}
    return {
        **known_environment.configuration,
        **known_stack.configuration,
        **models,
        **release.environment,
        **request.configuration,
    }


def _targets(request: deployment.Request, known: environment.Known) -> tuple[environment.Target, ...] | Refusal:
    """In the order of the request; with every name that is wrong."""
    if request.target is not None and request.targets:
        return Refusal("target_not_chosen", "give either target or targets")
    names = request.targets or ((request.target,) if request.target is not None else ())
    if not names and len(known.targets) == 1:
        return tuple(known.targets.values())
    if not names:
        choice = ", ".join(sorted(known.targets)) or "none"
        return Refusal("target_not_chosen", f"name one of the environment's targets: {choice}")
    if len(set(names)) < len(names):
        return Refusal("target_not_chosen", "a target is named twice")
    missing = [name for name in names if name not in known.targets]
    if missing:
        return Refusal("target_not_found", f"the environment has no target {', '.join(missing)}")
    return tuple(known.targets[name] for name in names)


def _without_baseline(
    strategy: Strategy, live: environment.LiveRelease | None, targets: tuple[environment.Target, ...]
) -> Refusal | None:
    """What was recorded before releases were kept with what is live cannot be started a second time."""
    canary = declared(strategy)
    if not isinstance(canary, Canary) or canary.baseline != "equal" or live is None or live.release is not None:
        return None
    if live.target not in {target.name for target in targets}:
        return None
    return Refusal("baseline_unknown", 'how the live release is run is not on the record: use "baseline": "stable"')
