"""The stream of predictions: bounded, found again by batch, followed by model."""

import asyncio

import pytest
import pytest_asyncio

from eventstore.connection import connect_to
from eventstore.envelope import new_id, now
from eventstore.errors import LogMissing, LogUnavailable, WriteTooLarge
from eventstore.streams import ask
from models.serve.predictions import PredictionBatch, Predictions, create_predictions

DAY = 86_400 * 10**9


def batch(rows=1, model_id="m", id=None):
    values = [[1.5, "oslo", None] for _ in range(rows)]
    return PredictionBatch(id or new_id(), model_id, "1", now(), values, ["a"] * rows, [0.75] * rows)


@pytest_asyncio.fixture
async def connection(own_nats):
    connection = await connect_to(own_nats.url)
    yield connection
    await connection.close()


@pytest_asyncio.fixture
async def predictions(connection):
    await create_predictions(connection)
    predictions = Predictions(connection)
    yield predictions
    await predictions.close()


async def configuration(connection):
    return (await ask(connection, "STREAM.INFO.PREDICTIONS"))["config"]


async def read(predictions, model_id, after, count):
    found = []
    async with asyncio.timeout(10):
        async for each in predictions.read(model_id, after):
            found.append(each)
            if len(found) == count:
                return found


async def test_the_limits_are_those_given_last_and_stay_where_none_are_given(connection):
    await create_predictions(connection)
    found = await configuration(connection)
    assert (found["max_age"], found["max_bytes"], found["discard"]) == (30 * DAY, 1024**3, "old")
    await create_predictions(connection, max_age=2 * 86_400, max_bytes=5_000_000)
    await create_predictions(connection)
    found = await configuration(connection)
    assert (found["max_age"], found["max_bytes"]) == (2 * DAY, 5_000_000)


async def test_the_oldest_go_where_the_bytes_are_used_up(connection, predictions):
    await create_predictions(connection, max_bytes=1_000_000)
    batches = [batch(rows=8_000) for _ in range(6)]
    assert [await predictions.publish(each) for each in batches] == [1, 2, 3, 4, 5, 6]
    assert await predictions.find("m", batches[0].id) is None
    assert await predictions.find("m", batches[5].id) == batches[5]


async def test_a_batch_is_found_again_as_it_was(predictions):
    given = batch(rows=3)
    await predictions.publish(given)
    assert await predictions.find("m", given.id) == given


@pytest.mark.parametrize("wanted", [("m", "other"), ("other", "b"), ("m", "*"), ("*", "b"), ("m", ""), ("m", "b.c")])
async def test_what_was_never_recorded_is_not_found(predictions, wanted):
    await predictions.publish(batch(id="b"))
    assert await predictions.find(*wanted) is None


async def test_a_model_is_followed_in_order_from_any_position_and_waits_for_more(predictions):
    assert await predictions.last() == 0
    before = [batch(), batch(model_id="another"), batch()]
    for each in before:
        await predictions.publish(each)
    assert await read(predictions, "m", 0, 2) == [(1, before[0]), (3, before[2])]
    following = asyncio.create_task(read(predictions, "m", 1, 2))
    later = batch()
    assert await predictions.publish(later) == 4 == await predictions.last()
    assert await following == [(3, before[2]), (4, later)]


async def test_many_at_once_have_positions_of_their_own(predictions):
    positions = await asyncio.gather(*(predictions.publish(batch()) for _ in range(50)))
    assert sorted(positions) == list(range(1, 51))


async def test_more_than_a_message_holds_is_refused(predictions):
    with pytest.raises(WriteTooLarge, match="at most"):
        await predictions.publish(batch(rows=50_000))
    assert await predictions.last() == 0


async def test_an_id_that_would_be_another_subject_is_refused(predictions):
    with pytest.raises(ValueError, match="no ids"):
        await predictions.publish(batch(model_id="m.>"))


async def test_without_the_stream_nothing_is_taken_for_recorded(connection):
    predictions = Predictions(connection)
    with pytest.raises(LogUnavailable):
        await predictions.publish(batch())
    with pytest.raises(LogMissing, match="sagacity init"):
        await predictions.last()
    await predictions.close()
