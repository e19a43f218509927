"""Commands that need more than their own aggregate: what they mean, with everything looked up."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple

import msgspec

from domain import deployment, environment, organization, stack
from domain.decider import Decider, Refusal

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
    target = _target(request.target, known_environment)
    if isinstance(target, Refusal):
        return target
    live = known_environment.placement(request.stack_id).live
    if live is not None and live.target != target.name:
        # A switch without a failed request needs both releases behind one front.
        return Refusal("target_differs", f"the stack is live on target {live.target}; deploy it there")
    variables = {
        **known_environment.configuration,
        **known_stack.configuration,
        **release.environment,
        **request.configuration,
    }
    return deployment.Open(
        request.stack_id,
        request.environment_id,
        request.version,
        request.strategy,
        request.policy,
        msgspec.structs.replace(release, environment=variables),
        target,
        live,
    )


def _target(name: str | None, known: environment.Known) -> environment.Target | Refusal:
    if name is None and len(known.targets) == 1:
        return next(iter(known.targets.values()))
    if name is None:
        choice = ", ".join(sorted(known.targets)) or "none"
        return Refusal("target_not_chosen", f"name one of the environment's targets: {choice}")
    target = known.targets.get(name)
    return target or Refusal("target_not_found", f"the environment has no target {name}")
