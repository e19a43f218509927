"""Skills of the engine's own process: whoever asks for the workers of one is told of the engine."""

import asyncio

from api.skill_workers import workers_of
from eventstore.tasks import end_tasks
from models.serve.predictions import Predictions, create_predictions
from sagacity.skill_work import run_workflows
from sagas.workflows.means import WORKERS
from skills.skill import Places
from tests.sagas.workflows.story import told


async def test_the_engine_is_a_worker_of_the_skills_that_come_along_and_says_how_it_fares(log_url, monkeypatch):
    monkeypatch.setattr("skills.offering.BEAT", 0.1)
    async with told(log_url, "offering") as story:
        core, listening = story.core, asyncio.Event()
        await create_predictions(core.connection)
        work = run_workflows(core, Predictions(core.connection), None, Places(), listening)
        running = asyncio.create_task(work)
        try:
            await asyncio.wait_for(listening.wait(), 20)
            text, place = {"text": "One. Two.", "sentences": 1}, {"path": "/nowhere"}
            for skill, input in (("summarise", text), ("list_files", place)):
                asked = {"skill": skill, "input": input, "park": False}
                await story.accepted("workflow.invoke", story.of(skill), asked)
                await story.ended(skill)

            async def fares(skill):
                return [(each.done, each.failed) for each in await workers_of(core.connection, skill)]

            assert await story.until(lambda: fares("summarise"), lambda seen: seen != [(0, 0)]) == [(1, 0)]
            assert await story.until(lambda: fares("list_files"), lambda seen: seen != [(0, 0)]) == [(1, 1)]
            (engine,) = await workers_of(core.connection, "code_review")
            assert engine.worker.startswith(WORKERS)
            assert (engine.version, engine.alive, engine.done, engine.running) == ("1", True, 0, 0)
        finally:
            await end_tasks(running)
