"""Versions come into use as the log says, no prediction fails meanwhile, and what was answered is on the record."""

import asyncio
import re
import threading
import time
from dataclasses import dataclass

import pytest
import pytest_asyncio

from domain import model
from domain.pipeline import Feature
from eventstore.blobs import BUCKET, Blobs
from eventstore.errors import LogFull, LogUnavailable, WriteTooLarge
from eventstore.tasks import end_tasks
from models.learn.artifacts import dump
from models.learn.fitted import Fitted
from models.serve.errors import ModelNotChosen, NoActiveVersion, UnknownModel, Unpredictable, VersionUnusable
from models.serve.predictions import Predictions
from models.serve.served import ServedVersion, is_chosen, predict_together
from models.serve.serving import Predictor
from sagacity.initialising import initialise_server
from sagacity.wiring import open_core
from tests.eventstore.log import until
from tests.models.trained import FEATURES, add_version, fitted, fresh, in_use, promote, tell

ROWS = [[30.5, -1.0, "oslo"], [60.0, None, None]]


class Serving:
    """A log, and a process that serves its models."""

    def __init__(self, core):
        self.core, self.blobs, self.predictions = core, Blobs(core.connection), Predictions(core.connection)
        self.predictor = self.another()

    def another(self, **options):
        """As another process would have it."""
        return Predictor(self.core.store, self.core.aggregates, self.blobs, self.predictions, **options)

    async def model(self, *versions, active=None, **options):
        return await in_use(self.core, self.blobs, *versions, active=active, **options)

    async def predict(self, id, version=None, rows=ROWS, request="r"):
        served = await self.predictor.version(id, version)
        return served.version, await self.predictor.predict(served, rows, request)

    async def serves(self, id, version):
        async def does():
            return (await self.predictor.version(id)).version == version

        await until(does)


@pytest_asyncio.fixture
async def serving(log_url):
    async with open_core(log_url) as core:
        serving = Serving(core)
        following = asyncio.create_task(serving.predictor.run())
        yield serving
        await end_tasks(following)
        await serving.predictions.close()


async def test_an_answer_is_that_of_the_model_and_on_the_record(serving):
    id = await serving.model("1", active="1")
    version, answer = await serving.predict(id)
    assert (answer.predictions, answer.confidences) == fitted(1).predict(ROWS)
    batch_id = answer.ids[0].partition(".")[0]
    assert answer.ids == [f"{batch_id}.0", f"{batch_id}.1"]
    batch = await serving.predictions.find(id, batch_id)
    assert (batch.model_id, batch.version, batch.rows) == (id, version, ROWS)
    assert (batch.predictions, batch.confidences) == (answer.predictions, answer.confidences)
    async for position, found in serving.predictions.read(id, 0):
        assert (position, found) == (answer.position, batch)
        break


async def test_a_promotion_under_load_fails_no_prediction_and_every_answer_is_recorded(serving):
    """Each client sees the versions in their order: 1, then 2, and after the roll-back 1 again."""
    id = await serving.model("1", "2", active="1")
    await serving.serves(id, "1")
    seen, stop = [[] for _ in range(20)], asyncio.Event()

    async def client(number):
        while not stop.is_set():
            seen[number].append(await serving.predict(id, rows=[[float(number), 0.0, "rome"]]))

    clients = [asyncio.create_task(client(number)) for number in range(20)]
    for command, version in (
        (model.Promote("2"), "2"),
        (model.RollBack("worse"), "1"),
        (model.Promote("2"), "2"),
    ):
        await until(lambda: all(len(answers) >= 5 for answers in seen))
        await tell(serving.core, id, command)
        await until(lambda wanted=version: all(answers[-1][0] == wanted for answers in seen))
    stop.set()
    await asyncio.gather(*clients)
    for answers in seen:
        assert re.fullmatch("1+2+1+2+", "".join(version for version, _ in answers))
    recorded = {}
    async for position, batch in serving.predictions.read(id, 0):
        for row, label in enumerate(batch.predictions):
            recorded[f"{batch.id}.{row}"] = position, batch.version, batch.rows[row], label
        if len(recorded) == sum(map(len, seen)):
            break
    for number, answers in enumerate(seen):
        for version, answer in answers:
            row = [float(number), 0.0, "rome"]
            assert recorded[answer.ids[0]] == (answer.position, version, row, answer.predictions[0])


async def test_a_process_that_starts_later_serves_all_that_is_in_use(serving):
    first, second = await serving.model("1", "2", active="2"), await serving.model("1", active="1")
    serving.predictor = serving.another()
    following = asyncio.create_task(serving.predictor.run())
    await serving.serves(first, "2")
    await serving.serves(second, "1")
    await end_tasks(following)


async def test_what_was_promoted_a_moment_ago_is_served_also_where_nobody_has_heard_of_it_yet(serving):
    serving.predictor = serving.another()
    id = await serving.model("1", active="1")
    version, _ = await serving.predict(id)
    assert version == "1"


async def test_a_named_version_answers_whichever_is_in_use_and_few_stay_loaded(serving):
    serving.predictor = serving.another(at_hand=1)
    id = await serving.model("1", "2", "3", active="1")
    for named in ("2", "3", "2", "1"):
        version, answer = await serving.predict(id, named)
        assert version == named
        assert answer.confidences == fitted(int(named)).predict(ROWS)[1]


async def test_a_version_that_cannot_be_loaded_leaves_the_old_one_answering_until_a_better_one_comes(serving):
    id = await serving.model("1", active="1")
    await serving.serves(id, "1")
    await add_version(serving.core, serving.blobs, id, "2", content=b"no artifact at all")
    await promote(serving.core, id, "2")
    with pytest.raises(VersionUnusable, match="version 2"):
        await serving.predict(id, "2")
    assert (await serving.predict(id))[0] == "1"
    await add_version(serving.core, serving.blobs, id, "3")
    await promote(serving.core, id, "3")
    await serving.serves(id, "3")


async def test_an_artifact_with_other_features_is_not_served(serving):
    id = await serving.model()
    other = fitted(1, features=(*FEATURES[:2], Feature("country", "category")))
    await add_version(serving.core, serving.blobs, id, "1", content=dump(other))
    with pytest.raises(VersionUnusable, match="other features"):
        await serving.predict(id, "1")


async def test_an_artifact_that_is_gone_is_unusable(serving):
    id = await serving.model()
    await add_version(serving.core, serving.blobs, id, "1")
    await add_version(serving.core, serving.blobs, id, "2")
    store = await serving.core.connection.jetstream().object_store(BUCKET)
    await store.delete(serving.predictor._models[id].versions["2"].artifact)
    with pytest.raises(VersionUnusable):
        await serving.predict(id, "2")


@pytest.mark.parametrize("named", ["nobody", "a b", "", "x" * 200])
async def test_a_model_that_is_none_is_unknown(serving, named):
    with pytest.raises(UnknownModel):
        await serving.predict(named)


async def test_without_a_version_in_use_there_is_no_answer(serving):
    id = await serving.model("1")
    with pytest.raises(NoActiveVersion, match=id):
        await serving.predict(id)
    with pytest.raises(UnknownModel, match="no version '7'"):
        await serving.predict(id, "7")


async def test_the_model_may_be_left_out_where_there_is_only_one(own_nats):
    await initialise_server(own_nats.url)
    async with open_core(own_nats.url) as core:
        serving = Serving(core)
        following = asyncio.create_task(serving.predictor.run())
        with pytest.raises(UnknownModel):
            await serving.predictor.only()
        id = await serving.model("1")
        await until(lambda: id in serving.predictor._models)
        with pytest.raises(NoActiveVersion):
            await serving.predict(None)
        await promote(core, id, "1")
        await serving.serves(id, "1")
        other = await serving.model("1")
        await until(lambda: other in serving.predictor._models)
        assert (await serving.predict(None))[0] == "1"
        with pytest.raises(ModelNotChosen, match="one of the 2"):
            await serving.predictor.only()
        await promote(core, other, "1")
        await serving.serves(other, "1")
        with pytest.raises(ModelNotChosen):
            await serving.predict(None)
        await end_tasks(following)
        await serving.predictions.close()


async def test_a_part_is_recorded_where_the_policy_says_so_and_the_same_request_always_or_never(serving):
    id = await serving.model("1", active="1", record=0.5)
    requests = [f"request-{number}" for number in range(60)]
    answers = [(await serving.predict(id, request=request))[1] for request in requests]
    chosen = [request for request, answer in zip(requests, answers, strict=True) if answer.position is not None]
    assert chosen == [request for request in requests if is_chosen(request, 0.5)]
    assert 15 <= len(chosen) <= 45
    for answer in answers:
        assert len(answer.ids) == (0 if answer.position is None else 2)
        assert answer.predictions == fitted(1).predict(ROWS)[0]


@pytest.mark.parametrize(("share", "least", "most"), [(0.0, 0, 0), (0.1, 800, 1_200), (1.0, 10_000, 10_000)])
def test_the_share_of_requests_that_is_recorded_is_about_the_one_that_is_wanted(share, least, most):
    assert least <= sum(is_chosen(f"r{number}", share) for number in range(10_000)) <= most


async def test_many_rows_are_cut_into_messages_and_joined_again(serving):
    id = await serving.model("1", active="1")
    rows = [[float(number % 90), None, "oslo" if number % 2 else "rome"] for number in range(3_000)]
    _, answer = await serving.predict(id, rows=rows)
    assert answer.predictions == fitted(1).predict(rows)[0]
    batches = [*dict.fromkeys(name.partition(".")[0] for name in answer.ids)]
    found = [await serving.predictions.find(id, batch) for batch in batches]
    assert [len(batch.rows) for batch in found] == [1_024, 1_024, 952]
    assert [row for batch in found for row in batch.rows] == rows
    assert len(set(answer.ids)) == 3_000


async def test_rows_with_long_text_are_cut_by_their_bytes(serving):
    id = await serving.model("1", active="1")
    rows = [[1.0, None, f"{number:04d}" + "é" * 900] for number in range(1_000)]
    _, answer = await serving.predict(id, rows=rows)
    assert len({name.partition(".")[0] for name in answer.ids}) == 2
    with pytest.raises(WriteTooLarge, match="one row"):
        await serving.predict(id, rows=[[1.0, None, "x" * 1_100_000]])


async def test_without_the_log_there_is_no_answer_and_afterwards_there_is(own_nats):
    await initialise_server(own_nats.url)
    async with open_core(own_nats.url) as core:
        serving = Serving(core)
        following = asyncio.create_task(serving.predictor.run())
        id = await serving.model("1", active="1")
        await serving.serves(id, "1")
        await serving.predict(id)
        own_nats.nodes[0].kill()
        with pytest.raises(LogUnavailable):
            await serving.predict(id)
        own_nats.nodes[0].start()

        async def answered():
            try:
                return bool(await serving.predict(id))
            except LogUnavailable:
                return False

        await until(answered)
        await end_tasks(following)
        await serving.predictions.close()


async def test_while_the_disk_of_the_log_is_full_nothing_is_recorded_beside_it_either(serving):
    recorded, silent = await serving.model("1", active="1"), await serving.model("1", active="1", record=0.0)
    await serving.serves(silent, "1")
    serving.core.store.take_no_more("no room left")
    with pytest.raises(LogFull, match="no room left"):
        await serving.predict(recorded)
    assert (await serving.predict(silent))[1].position is None
    serving.core.store.take_no_more(None)
    assert (await serving.predict(recorded))[1].position


def test_the_rows_that_no_answer_is_found_for_fail_alone():
    good, bad = [[1.0, 2.0, "oslo"]], [["text", 2.0, "oslo"]]
    first, second, third = predict_together(fitted(1), [good, bad, good])
    assert first == third == fitted(1).predict(good)
    assert isinstance(second, Unpredictable)


@dataclass(frozen=True)
class Watched(Fitted):
    """Tells in which threads it was asked, and takes its time."""

    threads: list
    seconds: float

    def predict(self, rows):
        self.threads.append(threading.current_thread())
        time.sleep(self.seconds)
        return super().predict(rows)


@pytest.mark.parametrize(("seconds", "rows", "in_the_loop"), [(0, 1, True), (0, 300, False), (0.01, 1, False)])
async def test_many_rows_and_slow_models_do_not_hold_up_the_loop(serving, seconds, rows, in_the_loop):
    of = fitted(1)
    watched = Watched(of.features, of.classes, of.pipeline, [], seconds)
    served = ServedVersion(fresh(), "1", watched, serving.predictions)
    watched.threads.clear()
    await served.predict(ROWS[:1] * rows)
    assert [each is threading.current_thread() for each in watched.threads] == [in_the_loop]
