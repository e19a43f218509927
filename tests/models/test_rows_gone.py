"""Observed rows are kept for a time only: what needs those that are gone goes on with what is there."""

import pytest

from domain import experiment, monitor
from domain.model_policy import ModelPolicy, Training
from domain.pipeline import Pipeline
from eventstore.blobs import BUCKET, OBSERVED
from models.data.tables import from_parquet
from models.observe.assembling import LabelledRows, TooFew
from models.observe.drift_replay import steps
from models.observe.observed import LABEL
from sagacity.initialising import initialise_server
from sagacity.wiring import observer as observer_of
from sagacity.wiring import open_core
from tests.models.watched import FEATURES, QUICK, observer, watched


async def forget(m, event, bucket=OBSERVED):
    """As if its time had come."""
    await (await m.core.connection.jetstream().object_store(bucket)).delete(event.content)


async def used(m, url, parts=3, rows=40):
    async with observer(url):
        for total in range(rows, (parts + 1) * rows, rows):
            await m.use(rows)
            await m.observed(total, total)


async def test_what_is_observed_is_kept_apart_from_what_is_kept_for_ever(log_url):
    async with watched(log_url) as m:
        await m.in_use()
        await used(m, log_url, parts=1)
        observed = {each.content for each in await m.events(monitor.InputsObserved, monitor.OutcomesObserved)}
        version = (await m.known()).versions["1"]
        kept = {version.artifact, version.content, (await m.state()).began.reference}
        for_ever, for_a_time = set(await m.blobs.hashes(BUCKET)), set(await m.blobs.hashes(OBSERVED))
    assert kept <= for_ever
    assert observed <= for_a_time
    assert not for_ever & for_a_time


async def test_a_worker_that_starts_sets_for_how_long_rows_are_kept(own_nats):
    await own_nats.ready()
    await initialise_server(own_nats.url)
    async with open_core(own_nats.url) as core:
        await observer_of(core, 2 * 86_400.0)
        bucket = await core.connection.jetstream().object_store(OBSERVED)
        assert (await bucket.status()).ttl == 2 * 86_400.0


@pytest.mark.parametrize("kind", [monitor.InputsObserved, monitor.OutcomesObserved])
async def test_a_restart_begins_anew_where_rows_are_gone(log_url, kind):
    """Beside the same reference, with the next prediction; from then on everything can be judged again."""
    async with watched(log_url) as m:
        await m.in_use()
        await used(m, log_url)
        first, *_ = await m.events(kind)
        await forget(m, first)
        before = await m.state()
        async with observer(log_url):
            await m.use(30)
            state = await m.until(lambda state: state.beginnings == 2)
            await m.observed(150, 150)
            await m.use(20)
            await m.observed(170, 170)
        async with observer(log_url):
            await m.use(10)
            await m.observed(180, 180)
        assert (await m.state()).beginnings == 2, "its rows are all there"
        events = await m.events()
        again = [step async for step in steps(_each(events), m.blobs.get)]
    assert (state.began.version, state.began.reference) == ("1", before.began.reference)
    assert [step.replayed for step in again] == [step.recorded for step in again]
    of_kind = [step for step in again if isinstance(step.recorded[0], kind)]
    assert {step.beginning for step in of_kind} == {2}, "what was cut cannot be judged"
    assert {step.beginning for step in again} == {1, 2}, "the other rows of the first beginning are there"


async def _each(events):
    for event in events:
        yield event


async def test_an_observer_that_has_seen_the_rows_is_not_disturbed_by_one_that_has_not(log_url):
    pace = QUICK._replace(standby=1.0)
    async with watched(log_url) as m:
        await m.in_use()
        async with observer(log_url, pace=pace):
            await m.use(40)
            await m.observed(40, 40)
            for each in await m.events(monitor.InputsObserved, monitor.OutcomesObserved):
                await forget(m, each)
            async with observer(log_url, pace=pace):
                for total in range(50, 130, 10):
                    await m.use(10)
                    await m.observed(total, total)
        assert (await m.state()).beginnings == 1
        async with observer(log_url):
            await m.use(10)
            await m.observed(130, 130)
        assert (await m.state()).beginnings == 2


async def test_a_dataset_is_assembled_of_the_rows_that_are_there(log_url):
    async with watched(log_url) as m:
        await m.in_use()
        await used(m, log_url, parts=4, rows=30)
        observed = await m.events(monitor.OutcomesObserved)
        labels = (await m.rows_of(monitor.OutcomesObserved))[LABEL]
        rows = LabelledRows(m.core.store, m.core.aggregates, m.blobs)
        policy = ModelPolicy(training=Training(rows=100))
        wanted = experiment.Requested(m.id, "2", "schedule", "", FEATURES, "y", Pipeline(), 0, policy, None, None, 0)
        seen = await rows.seen(m.id)
        whole = await rows.assemble(wanted, seen)
        await forget(m, observed[1])
        some = await rows.assemble(wanted, seen)
        await forget(m, observed[2])
        too_few = await rows.assemble(wanted, seen)
    assert (whole.dataset.samples, whole.first, whole.last) == (100, 21, 120)
    assert (some.dataset.samples, some.first, some.last) == (60, 61, 120)
    assert from_parquet(some.dataset.content)[0]["y"] == labels[60:]
    assert too_few == TooFew(30)
