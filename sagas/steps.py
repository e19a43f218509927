"""What a step asks of a target, and what it says when it is done."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from msgspec import structs

from domain import deployment, stack
from domain.canary import ShiftTraffic
from domain.strategy import Canary, declared, kind_of
from eventstore.envelope import now
from sagas.course import Action, Attempt, Rollout, actions, aftermath, roles, watched
from sagas.definition import Done, Perform, Told
from sagas.targets.port import Release, ReleaseFailed, Target, TargetUnavailable


async def carry_out(target: Target, attempt: Attempt, what: Perform) -> Done:
    """Raises the errors of the target port."""
    if what.key is not None:
        return await _act(target, attempt, what, _action(attempt, what))
    match what.operation:
        case "validate":
            await target.validate(_release(attempt.rollout.release))
            return Done(what, f"{attempt.target.name} can run {attempt.rollout.release.program}")
        case "keep":
            return Done(what, await _until_unhealthy(target, attempt, what.step))
        case "retire":
            return Done(what, _nothing_to_retire(attempt))
        case _:
            return Done(what, await _until_healthy(target, attempt, what.step))


def _action(attempt: Attempt, what: Perform) -> Action:
    """Raises KeyError for an effect that no step of the attempt has: then the saga was planned by another program."""
    known = {action.key: action for action in (*actions(attempt, what.step), *aftermath(attempt))}
    return known[what.key or ""]


async def _act(target: Target, attempt: Attempt, what: Perform, action: Action) -> Done:
    match action.operation:
        case "allocate":
            return Done(what, f"port {(await target.allocate(action.key)).port}")
        case "start":
            await target.start(action.key, action.allocation, _started(attempt, action))
            return Done(what, f"version {_version(attempt, action)} started")
        case "switch":
            return await _switch(target, attempt, what, action)
        case _:
            await target.retire(action.key, action.retires)
            return Done(what, f"version {_version(attempt, action)} retired")


def _version(attempt: Attempt, action: Action) -> str:
    """Of the old release, when it is about that: a baseline runs the old one, too."""
    previous = attempt.rollout.previous
    old = action.operation == "retire" or action.key in attempt.baselines
    return previous.version if old and previous else attempt.rollout.version


async def _switch(target: Target, attempt: Attempt, what: Perform, action: Action) -> Done:
    strategy = declared(attempt.rollout.strategy)
    front = attempt.rollout.front
    if kind_of(what.step) != "canary" or not isinstance(strategy, Canary):
        return Done(what, await target.switch(action.key, front, action.weights))
    url = await target.switch(action.key, front, action.weights, strategy.sticky_header, strategy.incident_header)
    shifted = ShiftTraffic(what.step, roles(attempt, strategy, what.step), now())
    return Done(what, url, (Told(deployment.deployment.category, attempt.rollout.deployment_id, shifted),))


def _nothing_to_retire(attempt: Attempt) -> str:
    if attempt.elsewhere is not None:
        return f"version {attempt.elsewhere.version} runs on {attempt.elsewhere.target} and is retired afterwards"
    return "there was no release before" if attempt.previous is None else "the old instances go with another batch"


async def undo(target: Target, rollout: Rollout, operation: str, key: str) -> str:
    """What was done, in words. Raises the errors of the target port."""
    undoes: dict[str, tuple[Callable[[str], Awaitable[object]], str]] = {
        "free": (target.free, "port given back"),
        "stop": (target.stop, "stopped"),
        "switch_back": (target.switch_back, f"{rollout.front} leads where it led before"),
        "unretire": (target.unretire, "the release runs again"),
    }
    act, done = undoes[operation]
    await act(key)
    return done


async def _until_healthy(target: Target, attempt: Attempt, step: str) -> str:
    """One instance after the other; they were started together."""
    return "; ".join([await _healthy(target, attempt, start) for start in watched(attempt, step)])


async def _healthy(target: Target, attempt: Attempt, start: str) -> str:
    """Probe until enough answers in a row are good, or bad. A release that does not listen yet is neither."""
    policy = attempt.rollout.policy
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


async def _until_unhealthy(target: Target, attempt: Attempt, step: str) -> str:
    """For ever, while nothing bad is known of the release: its time is up by a timer, and then its health counts.

    Raises ReleaseFailed when it is not well.
    """
    policy = attempt.rollout.policy
    bad = dict.fromkeys(watched(attempt, step), 0)
    while True:
        for start in bad:
            with contextlib.suppress(TargetUnavailable):
                health = await target.health(start)
                bad[start] = 0 if health.healthy else bad[start] + 1
                if bad[start] >= policy.unhealthy_checks:
                    raise ReleaseFailed(f"{bad[start]} bad answers in a row: {health.detail}")
        await asyncio.sleep(policy.health_interval)


def _started(attempt: Attempt, action: Action) -> Release:
    """It is told which part it has, so that metrics of its own can be told apart from those of other instances."""
    spec = action.release or attempt.rollout.release
    arm = "baseline" if action.key in attempt.baselines else "release"
    part = {"DEPLOYMENT_ID": attempt.rollout.deployment_id, "DEPLOYMENT_ARM": arm}
    return _release(structs.replace(spec, environment={**part, **spec.environment}))


def _release(spec: stack.ReleaseSpec) -> Release:
    return Release(
        program=spec.program,
        arguments=spec.arguments,
        environment=spec.environment,
        health_path=spec.health_path,
        working_directory=spec.working_directory,
    )
