"""The deployment saga on the real runner and the real log: cancelled at every moment, late, stumbling, stuck, poisoned.

The target is the one in memory, which keeps the rules of the real one; `tests/crash/` does the same with processes.
"""

import asyncio

import pytest

from domain import deployment
from domain.strategy import PLAIN
from sagas.rollout import RetryPolicy
from sagas.targets.port import TargetRefused, TargetUnavailable
from tests.sagas.story import obey, told
from tests.targets.memory_target import MemoryTarget


def refuse_to_stop(what, key):
    if what == "stop":
        raise TargetRefused(["it cannot be stopped"])


MOMENTS = [
    *((deployment.StartStep, step) for step in PLAIN),
    *((deployment.CompleteStep, step) for step in PLAIN),
    (deployment.Complete, None),
]


@pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: f"{moment[0].__name__}-{moment[1]}")
async def test_cancelled_right_before_a_report_it_leaves_exactly_the_previous_state(log_url, moment):
    """The cancellation is on the record before the saga has heard of it: also at the very last moment it wins."""
    report, step = moment
    async with told(log_url, f"cancel-{report.__name__}-{step}") as story:

        async def cancel(commands):
            if any(isinstance(each, report) and getattr(each, "step", None) == step for each in commands):
                story.tell_before = None
                cancelled = await story.command("deployment.cancel", story.new, {"reason": "changed my mind"})
                assert cancelled.outcome == "accepted"

        story.tell_before = cancel
        await story.request(story.new, "2")
        assert await story.outcome(story.new) == "deployment.rolled_back"
        await story.nothing_has_changed()


async def test_a_sick_version_is_rolled_back(log_url):
    async with told(log_url, "sick") as story:
        await story.request(story.new, "3")
        assert await story.outcome(story.new) == "deployment.rolled_back"
        await story.nothing_has_changed()


async def test_a_step_that_takes_too_long_is_ended_by_its_timer(log_url):
    """Attempts go on within the step's time; the timer is the log's own and needs nobody to be awake."""
    async with told(log_url, "late", RetryPolicy(attempts=1000, first=0.02, longest=0.05)) as story:

        def hang(what, key):
            if what == "start" and key.startswith(story.new):
                raise TargetUnavailable("no answer")

        story.before = hang
        await story.request(story.new, "2", step_timeouts={"start": 0.5})
        assert await story.outcome(story.new) == "deployment.rolled_back"
        await story.nothing_has_changed()


async def test_a_target_that_stumbles_is_asked_again_and_acts_once(log_url):
    async with told(log_url, "stumble") as story:
        failures = iter((True, True))

        def stumble(what, key):
            if what == "switch" and next(failures, False):
                raise TargetUnavailable("no answer")

        story.before = stumble
        await story.request(story.new, "2")
        assert await story.outcome(story.new) == "deployment.completed"
        assert story.target.acts.count(("switch", f"{story.new}-switch")) == 1


async def test_a_paused_saga_waits_for_a_person_beyond_the_time_of_its_step(log_url):
    async with told(log_url, "pause") as story:
        away = True

        def be_away(what, key):
            if away and what == "start":
                raise TargetUnavailable("no answer")

        story.before = be_away
        await story.request(story.new, "2", step_timeouts={"start": 1.0})
        await story.paused(story.new)
        await asyncio.sleep(1.5)
        assert (await story.paused(story.new)).compensating is None
        away = False
        assert (await story.command("saga.resume", f"deployment-{story.new}")).outcome == "accepted"
        assert await story.outcome(story.new) == "deployment.completed"


async def test_an_undo_that_fails_waits_for_a_person_who_gives_up_on_this_effect_alone(log_url):
    async with told(log_url, "stuck") as story:
        story.before = refuse_to_stop
        await story.request(story.new, "3")
        assert (await story.paused(story.new)).stuck == f"{story.new}-start"
        id = f"deployment-{story.new}"
        other = await story.command("saga.waive_effect", id, {"key": f"{story.new}-allocate", "reason": "why not"})
        assert (other.outcome, other.refusal) == ("refused", "effect_not_stuck")
        waived = await story.command("saga.waive_effect", id, {"key": f"{story.new}-start", "reason": "by hand"})
        assert waived.outcome == "accepted"
        # A place where something still runs cannot be given back either.
        await story.until(lambda: story.saga(story.new), lambda state: state.stuck == f"{story.new}-allocate")
        await story.command("saga.waive_effect", id, {"key": f"{story.new}-allocate", "reason": "by hand"})
        assert await story.outcome(story.new) == "deployment.failed"
        statuses = {effect.step: effect.status for effect in (await story.saga(story.new)).effects}
        assert statuses == {"start": "waived", "allocate": "waived"}


async def test_an_undo_that_works_again_is_resumed(log_url):
    async with told(log_url, "resumed") as story:
        story.before = refuse_to_stop
        await story.request(story.new, "3")
        await story.paused(story.new)
        story.before = obey
        await story.command("saga.resume", f"deployment-{story.new}")
        assert await story.outcome(story.new) == "deployment.rolled_back"
        await story.nothing_has_changed()


async def test_a_foreign_message_among_the_timers_does_no_harm(log_url):
    async with told(log_url, "poison") as story:
        await story.core.connection.publish("due.x.y", b"hello")
        await story.request(story.new, "2")
        assert await story.outcome(story.new) == "deployment.completed"


async def test_an_id_from_which_no_saga_could_grow_is_refused(log_url):
    async with told(log_url, "long") as story:
        data = {"stack_id": "long-stack", "environment_id": "long-env", "version": "2"}
        refused = await story.command("deployment.request", "d" * 81, data)
        assert (refused.outcome, refused.refusal) == ("refused", "id_too_long")
        await story.request("d" * 80, "2")
        assert await story.outcome("d" * 80) == "deployment.completed"


async def test_after_a_restore_on_a_machine_where_nothing_runs_one_deploys_again(log_url):
    async with told(log_url, "restored") as story:
        story.target = MemoryTarget()
        await story.request(story.new, "2")
        assert await story.outcome(story.new) == "deployment.completed"
        assert [running.start_key for running in await story.target.inventory()] == [f"{story.new}-start"]
