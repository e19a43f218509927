"""Carrying out the steps of a deployment saga on a target.

Every attempt ends in an outcome, never in an exception: the saga decides what it means. The log counts the
attempts; tenacity's strategies say when the next one is due and when it was the last.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tenacity import RetryCallState
from tenacity.stop import stop_after_attempt
from tenacity.wait import wait_exponential_jitter

from domain import environment, saga, stack
from sagas.definition import Done, Exhausted, Outcome, Perform, Rejected, SagaDefinition, Stumbled
from sagas.deployment import KIND, Rollout, effect_key, listens, plan, react, rollout_of
from sagas.targets.port import Release, ReleaseFailed, Target, TargetRefused, TargetUnavailable

TargetOf = Callable[[environment.Target], Target]
"""The implementation for a target of an environment. Raises TargetRefused for an unknown kind."""


@dataclass(frozen=True)
class RetryPolicy:
    """Exponential backoff with jitter: `first` seconds, doubled up to `longest`, at most `attempts` attempts."""

    attempts: int = 6
    first: float = 0.2
    longest: float = 10.0

    def next(self, attempt: int) -> float | None:
        """Seconds to wait after this attempt (from 1); None when it was the last."""
        state = RetryCallState(retry_object=None, fn=None, args=(), kwargs={})  # pyright: ignore[reportArgumentType]
        state.attempt_number = attempt
        if stop_after_attempt(self.attempts)(state):
            return None
        return wait_exponential_jitter(multiplier=self.first, max=self.longest, jitter=self.first)(state)


def deployment_saga(target_of: TargetOf, retries: RetryPolicy) -> SagaDefinition:
    async def perform(state: saga.Running, what: Perform) -> Outcome:
        rollout = rollout_of(state)
        try:
            return Done(what, await _attempt(target_of(rollout.target), rollout, what))
        except (TargetRefused, ReleaseFailed) as error:
            return Rejected(what, str(error))
        except TargetUnavailable as error:
            delay = retries.next(state.attempts + 1)
            if delay is None:
                return Exhausted(what, f"{error} (after {state.attempts + 1} attempts)")
            return Stumbled(what, state.attempts + 1, delay, str(error))

    return SagaDefinition(KIND, ("deployment",), listens, plan, react, perform)


async def _attempt(target: Target, rollout: Rollout, what: Perform) -> str:
    """What was done, in words. Raises the errors of the target port."""
    start = rollout.key("start")
    key = what.key or ""
    match what.operation:
        case "validate":
            await target.validate(_release(rollout.release))
            return f"{rollout.target.name} can run {rollout.release.program}"
        case "allocate":
            allocation = await target.allocate(key)
            return f"port {allocation.port}"
        case "start":
            await target.start(key, rollout.key("allocate"), _release(rollout.release))
            return f"version {rollout.version} started"
        case "health":
            return await _until_healthy(target, rollout, start)
        case "switch":
            return await target.switch(key, rollout.front, start)
        case "retire":
            return await _retire(target, rollout, key)
        case _:
            return await _undo(target, rollout, what.operation, key)


async def _retire(target: Target, rollout: Rollout, key: str) -> str:
    if rollout.previous is None:
        return "there was no release before"
    await target.retire(key, effect_key(rollout.previous.deployment_id, "start"))
    return f"version {rollout.previous.version} retired"


async def _undo(target: Target, rollout: Rollout, operation: str, key: str) -> str:
    undo: dict[str, tuple[Callable[[str], Awaitable[object]], str]] = {
        "free": (target.free, "port given back"),
        "stop": (target.stop, f"version {rollout.version} stopped"),
        "switch_back": (target.switch_back, f"{rollout.front} leads where it led before"),
        "unretire": (target.unretire, "the previous release runs again"),
    }
    act, done = undo[operation]
    await act(key)
    return done


async def _until_healthy(target: Target, rollout: Rollout, start: str) -> str:
    """Probe until enough answers in a row are good, or bad. A release that does not listen yet is neither."""
    policy = rollout.policy
    good = bad = 0
    while True:
        health = await target.health(start)
        good = good + 1 if health.healthy else 0
        bad = bad + 1 if health.answered and not health.healthy else 0
        if good >= policy.healthy_checks:
            return f"{good} good answers in a row: {health.detail}"
        if bad >= policy.unhealthy_checks:
            raise ReleaseFailed(f"{bad} bad answers in a row: {health.detail}")
        await asyncio.sleep(policy.health_interval)


def _release(spec: stack.ReleaseSpec) -> Release:
    return Release(
        program=spec.program,
        arguments=spec.arguments,
        environment=spec.environment,
        health_path=spec.health_path,
        working_directory=spec.working_directory,
    )
