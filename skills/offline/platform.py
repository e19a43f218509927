"""Skills that give the platform's own commands: deployments, models, and any other.

The id of the command follows from that of the call: asked again, after a crash or a timeout, it has its one effect
once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct

from domain.decider import ID
from domain.skill import RetryPolicy
from skills.offline.commands import Commands, Given, NotNow, Standing, give
from skills.skill import Context, Skill, SkillFailed, skill, skill_of

Id = Annotated[str, Meta(pattern=ID)]
_AGAIN: Final = RetryPolicy(attempts=6, first=0.5, longest=10.0)
_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 5.0
_GROWTH: Final = 1.3


class Deploy(Struct, frozen=True, forbid_unknown_fields=True):
    """As the command `deployment.request` has it; `strategy` and `policy` as docs/progressive-delivery.md tells. `id`
    is that of the deployment, made where it is not given."""

    stack_id: Id
    environment_id: Id
    version: str
    target: str = ""
    strategy: Any = None
    configuration: dict[str, Any] = {}
    policy: dict[str, Any] = {}
    instances: Annotated[int, Meta(ge=1, le=30)] = 1
    id: str = ""


class Deploying(Struct, frozen=True):
    """It was requested: `deployment_ended` waits for what becomes of it."""

    deployment_id: str
    command_id: str
    position: int


class RollBack(Struct, frozen=True, forbid_unknown_fields=True):
    """A deployment that has not ended, or a model; a model to `version`, or to the one that was in use before."""

    what: Literal["deployment", "model"]
    id: Id
    reason: str = ""
    version: str = ""


class Wait(Struct, frozen=True, forbid_unknown_fields=True):
    """For one deployment. `expected`: with another outcome the skill fails."""

    deployment_id: Id
    expected: Literal["", "completed", "rolled_back", "failed"] = ""


class DeploymentEnded(Struct, frozen=True):
    deployment_id: str
    outcome: str
    details: dict[str, Any]


class Retrain(Struct, frozen=True, forbid_unknown_fields=True):
    """Of the `dataset_id`, or of the latest labelled predictions."""

    model_id: Id
    dataset_id: str = ""
    reason: str = ""
    seed: Annotated[int, Meta(ge=0, le=2**31 - 1)] = 0


class Retraining(Struct, frozen=True):
    model_id: str
    command_id: str
    position: int


class Command(Struct, frozen=True, forbid_unknown_fields=True):
    """Any command that people can give, docs/commands.md. `stream_id`: to what; made where it is not given."""

    type: Annotated[str, Meta(max_length=200)]
    stream_id: str = ""
    data: dict[str, Any] = {}


def platform_skills(commands: Commands) -> tuple[Skill[Any, Any], ...]:
    """What is given is on record as the actor's of the security context."""

    @skill(
        "deploy",
        capabilities=("deployment", "ci_cd"),
        scaling="event_driven",
        retry=_AGAIN,
    )
    async def deploy(asked: Deploy, context: Context) -> Deploying:
        """Requests a deployment of a stack's version to an environment; does not wait for its end."""
        data = {
            "stack_id": asked.stack_id,
            "environment_id": asked.environment_id,
            "version": asked.version,
            "target": asked.target,
            "strategy": asked.strategy,
            "configuration": asked.configuration,
            "policy": asked.policy,
            "instances": asked.instances,
        }
        given = await give(commands, "deployment.request", asked.id, _said(data), context)
        return Deploying(given.stream_id, given.command_id, given.position)

    @skill(
        "deployment_ended",
        capabilities=("deployment", "wait"),
        scaling="event_driven",
        timeout=3_600.0,
        retry=_AGAIN,
        effects=False,
    )
    async def deployment_ended(asked: Wait, context: Context) -> DeploymentEnded:
        """Waits until a deployment has ended: completed, rolled back or failed."""
        ended = await _ended(commands, "deployment", asked.deployment_id)
        if asked.expected not in ("", ended.outcome):
            reason = f"the deployment {asked.deployment_id} ended {ended.outcome}, not {asked.expected}"
            raise SkillFailed(reason, retryable=False)
        return DeploymentEnded(asked.deployment_id, ended.outcome, ended.details)

    @skill(
        "roll_back",
        capabilities=("deployment", "models", "compensation"),
        scaling="event_driven",
        retry=_AGAIN,
    )
    async def roll_back(asked: RollBack, context: Context) -> Given:
        """Undoes a deployment that is on its way (what it did is undone step by step), or brings the version of a
        model back that was in use before. Of a deployment that has completed the version before is deployed instead."""
        if asked.what == "model":
            data = _said({"reason": asked.reason, "version": asked.version})
            return await give(commands, "model.roll_back", asked.id, data, context)
        return await give(commands, "deployment.cancel", asked.id, {"reason": asked.reason}, context)

    @skill("retrain", capabilities=("models",), scaling="event_driven", retry=_AGAIN)
    async def retrain(asked: Retrain, context: Context) -> Retraining:
        """Asks for a new version of a model to be trained, compared and, where it is better, brought into use."""
        data = _said({"dataset_id": asked.dataset_id, "reason": asked.reason, "seed": asked.seed})
        given = await give(commands, "model.retrain", asked.model_id, data, context)
        return Retraining(asked.model_id, given.command_id, given.position)

    @skill("give_command", capabilities=("commands",), scaling="event_driven", retry=_AGAIN)
    async def give_command(asked: Command, context: Context) -> Given:
        """Gives any of the platform's commands; one that is refused is a failure, with the reason."""
        return await give(commands, asked.type, asked.stream_id, asked.data, context)

    every = (deploy, deployment_ended, roll_back, retrain, give_command)
    return tuple(skill_of(each) for each in every)


def _said(data: Mapping[str, Any]) -> dict[str, Any]:
    """Without what was left empty: the command has its own defaults."""
    return {name: value for name, value in data.items() if value is not None and value != ""}


async def _ended(commands: Commands, category: str, id: str) -> Standing:
    """Looks less and less often. Raises SkillFailed where there is no such thing."""
    pause = _PAUSE
    while True:
        try:
            found = await commands.outcome_of(category, id)
        except NotNow as error:
            raise SkillFailed(f"the {category} {id} was not looked at: {error}") from error
        if found is None:
            raise SkillFailed(f"there is no {category} {id}", retryable=False)
        if found.ended:
            return found
        await asyncio.sleep(pause)
        pause = min(pause * _GROWTH, _LONGEST_PAUSE)
