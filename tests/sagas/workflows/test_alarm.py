"""The timers of a run that two engines have left, each with its own belief of what is set."""

from datetime import timedelta

from eventstore.envelope import now
from eventstore.streams import ask
from eventstore.subjects import is_valid_id
from sagacity.workflow_work import workflow_engine
from sagas.timers import RUNS
from sagas.workflows.alarm import Alarm
from tests.sagas.workflows.story import told

MONTH = timedelta(days=30)


async def timers_of(story, what, run):
    """Subjects on which something stands."""
    about = {"subjects_filter": f"{what}.{run}.*"}
    answer = await ask(story.core.connection, f"STREAM.INFO.{RUNS.stream}", about)
    return set(answer["state"].get("subjects") or ())


async def test_a_timer_of_one_engine_is_not_moved_by_another(log_url):
    async with told(log_url, "alarms") as story:
        run = story.of("run")
        first, second = (workflow_engine(story.core)._means for _ in range(2))
        assert is_valid_id(first.worker), "it is a word of a subject"
        moment = now()
        soon = moment + timedelta(seconds=1)
        await Alarm(first, run).set(soon, moment)
        await Alarm(second, run).set(moment + MONTH, moment)
        await Alarm(first, run).set(soon, moment)
        fired = await story.until(lambda: timers_of(story, RUNS.due, run), bool)
        assert fired == {f"{RUNS.due}.{run}.{first.worker}"}
        assert await timers_of(story, RUNS.scheduled, run) == {f"{RUNS.scheduled}.{run}.{second.worker}"}


async def test_whoever_ends_a_run_drops_the_timers_of_all_engines(log_url):
    async with told(log_url, "dropped") as story:
        run, moment = story.of("run"), now()
        first, second = (Alarm(workflow_engine(story.core)._means, run) for _ in range(2))
        await first.set(moment + MONTH, moment)
        await second.set(moment + MONTH, moment)
        assert len(await timers_of(story, RUNS.scheduled, run)) == 2
        await second.drop()
        assert await timers_of(story, RUNS.scheduled, run) == set()
