"""A large batch does not hold up the others: what takes long with it is done in a thread."""

import asyncio
import json
import threading

import pytest
import pytest_asyncio

from api.prediction_bodies import read_wanted
from eventstore.blobs import Blobs
from eventstore.tasks import end_tasks
from models.serve.predictions import Predictions
from models.serve.serving import Predictor
from sagacity.wiring import open_core
from tests.models.trained import ROW, in_use


class Rows(list):
    """Know in which threads they were gone through."""

    def __init__(self, rows):
        super().__init__(rows)
        self.threads = set()

    def __iter__(self):
        self.threads.add(threading.get_ident())
        return super().__iter__()


@pytest_asyncio.fixture
async def serving(log_url):
    async with open_core(log_url) as core:
        blobs, predictions = Blobs(core.connection), Predictions(core.connection)
        id = await in_use(core, blobs, "1", active="1")
        predictor = Predictor(core.store, core.aggregates, blobs, predictions)
        following = asyncio.create_task(predictor.run())
        yield predictor, id
        await end_tasks(following)
        await predictions.close()


async def test_many_rows_are_measured_and_cut_into_messages_in_a_thread(serving):
    predictor, id = serving
    rows = Rows([float(number), None, "oslo"] for number in range(10_000))
    answer = await predictor.predict(await predictor.version(id), rows)
    assert (len(answer.ids), len({each.partition(".")[0] for each in answer.ids})) == (10_000, 10)
    assert rows.threads
    assert threading.get_ident() not in rows.threads


async def test_a_few_rows_wait_for_no_thread(serving):
    predictor, id = serving
    rows = Rows([[30.0, None, "oslo"]])
    await predictor.predict(await predictor.version(id), rows)
    assert rows.threads <= {threading.get_ident()}


@pytest.mark.parametrize("first", [30.5, True])
async def test_a_large_request_is_read_as_a_small_one_is(serving, first):
    """By the quick way, and by the slow one for what is not as it should be."""
    predictor, id = serving
    instances = [{**ROW, "age": first}, *({**ROW, "income": float(number)} for number in range(9_999))]
    wanted = await read_wanted(predictor, json.dumps({"model": id, "instances": instances}).encode())
    assert [wanted.rows[0], wanted.rows[-1]] == [[float(first), -1.0, "oslo"], [30.5, 9998.0, "oslo"]]
    assert len(wanted.rows) == 10_000
