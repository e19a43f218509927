"""The observer beside models that are really trained, served and labelled: what it records, and that it goes on exactly
where it was, whatever happens."""

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest
from msgspec import structs

from domain import gate, model, monitor
from domain.detectors import POLICY, ErrorDetector, InputDetectors
from domain.model_policy import Budget, Gate, ModelPolicy, Monitoring, Training
from eventstore.envelope import StreamId, now
from models.observe.drift_replay import steps
from models.observe.following import Followed, follow
from models.observe.observed import ACTIVE, ID, LABEL, OTHER, PREDICTION, VERSION, WRONG
from models.observe.observing import Pace, Sources
from models.observe.recalling import latest_outcomes, recall
from models.observe.referencing import read_reference, thresholds_for
from sagacity.initialising import initialise_server
from tests.eventstore.log import until
from tests.models.watched import FEATURES, PATIENT, QUICK, observer, watched

EAGER = Monitoring(window=100, retrain_on=("errors",))


async def test_a_version_in_use_is_watched_beside_what_it_was_trained_on(log_url):
    async with watched(log_url) as m, observer(log_url):
        await m.register()
        version = await m.train(rows=400)
        assert await m.state() == monitor.Idle(), "it is not in use yet"
        await m.promote(version)
        state = await m.until(lambda state: state.beginnings == 1)
        known = (await m.known()).versions["1"]
        reference = await read_reference(m.blobs.get, state.began.reference)
    assert state.began == monitor.Began(
        "1",
        state.began.reference,
        known.holdout,
        PATIENT.monitoring,
        thresholds_for(PATIENT.monitoring, FEATURES),
        POLICY,
        0,
        5,
    )
    assert (reference.columns["x"].rows, reference.columns["city"].missing) == (400, 1)
    assert reference.predictions.rows == known.holdout.rows == 120, "what it says of rows that it has not seen"


async def test_every_prediction_by_the_version_in_use_is_observed_once(log_url):
    """Those from before the observer came, too; what another version was asked is no input of this one."""
    async with watched(log_url) as m:
        await m.in_use()
        another = await m.version(await m.train())
        said = await m.predict(70)
        await m.predict(30, by=another)
        async with observer(log_url):
            for count in (1, 2, 600):
                said += await m.predict(count)
            await m.observed(inputs=673)
            await m.predict(5, by=another)
            last = await m.predictions.last()
            await m.until(lambda state: state.inputs_to == last)
        stored = await m.rows_of(monitor.InputsObserved)
        found = [batch async for _, batch in _batches(m, last)]
    rows = [row for batch in found if batch.version == "1" for row in batch.rows]
    assert [list(each) for each in zip(stored["x"], stored["city"], strict=True)] == rows
    assert stored[PREDICTION] == [each for batch in found if batch.version == "1" for each in batch.predictions]
    assert len(said) == len(rows)


async def _batches(m, last):
    async for position, batch in m.predictions.read(m.id, 0):
        yield position, batch
        if position == last:
            return


async def test_labels_are_joined_with_what_was_predicted_and_the_first_one_counts(log_url):
    async with watched(log_url) as m:
        await m.in_use()
        said = await m.predict(40)
        await m.label([*said[:10], said[0], ("nobody.0", "1"), (said[0][0].replace(".0", ".40"), "1")])
        async with observer(log_url):
            await m.observed(outcomes=10)
            await m.label([(said[3][0], "0"), (said[3][0], "1"), *said[10:20]])
            await m.observed(outcomes=20)
        async with observer(log_url):
            await m.label([*said[15:21], (said[20][0].replace(".20", ".020"), "0")])
            await m.observed(outcomes=21)
            await m.until(lambda state: state.outcomes >= 3)
        stored = await m.rows_of(monitor.OutcomesObserved)
        events = await m.events(monitor.OutcomesObserved)
    assert list(zip(stored[ID], stored[LABEL], strict=True)) == said[:21]
    assert stored[WRONG] == [float(a != b) for a, b in zip(stored[PREDICTION], stored[LABEL], strict=True)]
    assert sum(each.wrong for each in events) == sum(stored[WRONG])
    assert sum(each.unmatched for each in events) == 3 + 2 + 6
    assert set(stored[VERSION]) == {"1"}
    assert ACTIVE not in stored


async def test_labels_of_another_version_are_rows_to_learn_from_and_no_errors_of_the_one_in_use(log_url):
    async with watched(log_url) as m:
        await m.in_use()
        late = await m.predict(30)
        await m.promote(await m.train())
        async with observer(log_url):
            await m.label([(id, "neither") for id, _ in late])
            await m.use(20)
            await m.observed(outcomes=50)
        events = await m.events(monitor.OutcomesObserved)
    assert (sum(each.rows for each in events), sum(each.of_version for each in events)) == (50, 20)
    assert sum(each.wrong for each in events) == 30 + sum(each.wrong_of_version for each in events)


async def test_errors_that_have_become_more_lead_to_a_training(log_url):
    policy = ModelPolicy(monitoring=EAGER)
    async with watched(log_url) as m:
        await m.in_use(policy)
        async with observer(log_url):
            await m.use(100)
            await m.observed(outcomes=100)
            m.world.changed = True
            await m.use(60)
            await m.observed(outcomes=160)
            await until(lambda: _is_training(m))
        (judged, *_), known = await m.events(monitor.Judged), await m.known()
        opened = await m.core.store.load(StreamId("experiment", known.training), latest=True)
    requested = m.core.store.decode(opened[0])
    assert (judged.verdict.kind, judged.version, judged.policy_version) == ("errors", "1", POLICY)
    assert 100 < judged.verdict.at <= 160
    assert (requested.trigger, requested.since) == ("drift", 160)
    assert requested.reason.startswith("errors: ")
    assert "of the holdout were" in requested.reason


async def test_drift_during_a_training_asks_for_the_next_one_when_that_has_ended(log_url):
    async with watched(log_url) as m, observer(log_url):
        await m.in_use(ModelPolicy(monitoring=EAGER))
        m.world.changed = True
        await m.use(60)
        await until(lambda: _is_training(m))
        before = len(await m.events(monitor.Judged))
        await m.use(60)
        await until(lambda: _has_more(m, monitor.Judged, before))
        assert (await m.known()).training == f"{m.id}-2"
        await m.tell("model", m.id, model.ReleaseTraining(f"{m.id}-2"))
        await until(lambda: _is_training(m))
        assert (await m.known()).training == f"{m.id}-3"
        await m.tell("model", m.id, model.ReleaseTraining(f"{m.id}-3"))
        await m.predict(5)
        await m.observed(inputs=125)
        assert (await m.known()).training is None, "once"


async def _has_more(m, kind, before) -> bool:
    return len(await m.events(kind)) > before


async def _is_training(m) -> bool:
    return (await m.known()).training is not None


async def test_drift_that_nobody_asks_for_is_recorded_only(log_url):
    policy = ModelPolicy(monitoring=structs.replace(EAGER, retrain_on=("errors", "predictions")))
    async with watched(log_url) as m:
        await m.in_use(policy)
        async with observer(log_url):
            m.world.shift = 3.0
            await m.predict(100)
            await until(lambda: _has(m, monitor.Judged))
            await until(lambda: _is_training(m))
        kinds = {each.verdict.kind for each in await m.events(monitor.Judged)}
        opened = await m.core.store.load(StreamId("experiment", (await m.known()).training), latest=True)
    assert kinds == {"feature", "prediction"}
    assert m.core.store.decode(opened[0]).reason.startswith("drift of the predictions at row 100 (chi2: ")


async def _has(m, kind) -> bool:
    return bool(await m.events(kind))


async def test_verdicts_are_the_same_however_often_it_is_interrupted(log_url):
    """The detectors of one run through all rows, as they were stored, find what the observers found."""
    async with watched(log_url, seed=7) as m:
        await m.in_use(ModelPolicy(monitoring=structs.replace(EAGER, retrain_on=())))
        for part in range(5):
            m.world.changed, m.world.shift = part >= 2, 1.0 * (part >= 3)
            async with observer(log_url):
                await m.use(30)
                await m.use(45)
                await m.observed((part + 1) * 75, (part + 1) * 75)
        began = (await m.state()).began
        reference = await read_reference(m.blobs.get, began.reference)
        inputs, outcomes = await m.rows_of(monitor.InputsObserved), await m.rows_of(monitor.OutcomesObserved)
        judged = await m.events(monitor.Judged)
        windows = [window for each in await m.events(monitor.InputsObserved) for window in each.windows]
    seen = InputDetectors(reference, began.thresholds, began.monitoring).see(inputs, inputs[PREDICTION])
    errors = ErrorDetector(began.holdout, began.thresholds).see([each == 1.0 for each in outcomes[WRONG]])
    assert windows == list(seen[0])
    assert len(windows) == 3
    assert [each.verdict for each in judged if each.verdict.kind != "errors"] == list(seen[1])
    assert [each.verdict for each in judged if each.verdict.kind == "errors"] == list(errors)
    assert {each.verdict.kind for each in judged} == {"errors", "feature"} | {each.kind for each in seen[1]}
    assert len(errors) >= 2
    assert [each.number for each in judged] == list(range(1, len(judged) + 1))


async def test_of_two_observers_one_records_and_the_other_one_takes_over(log_url):
    """The slower one is second once, and stands by until something has waited for too long."""
    quick = QUICK._replace(standby=1.5)
    slow = quick._replace(gather=0.15, longest=0.15)
    async with watched(log_url) as m, AsyncExitStack() as both:
        await m.in_use()
        await both.enter_async_context(observer(log_url, pace=slow))
        async with observer(log_url, pace=quick):
            for _ in range(16):
                await m.use(5)
                await asyncio.sleep(0.06)
            await m.observed(80, 80)
        refused = await _refused(m)
        await m.use(10)
        await m.observed(90, 90)
        stored, events = await m.rows_of(monitor.OutcomesObserved), await m.events()
        again = [step async for step in steps(_each(events), m.blobs.get)]
    assert len(set(stored[ID])) == 90
    assert sum(isinstance(event, monitor.Began) for event in events) == 1
    assert [step.replayed for step in again] == [step.recorded for step in again], "no rows but those before"
    for what in ("in", "out"):
        assert sum(f"-{what}-" in id for id in refused) <= 1, "then it stood by"


async def _each(events):
    for event in events:
        yield event


async def _refused(m) -> list[str]:
    ids, position = list[str](), 0
    while page := await m.core.store.read(position, category="command"):
        ids += [each.stream.id for each in page if each.type == "command.refused" and f"-{m.id}-" in each.stream.id]
        position = page[-1].position
    return ids


@pytest.mark.parametrize("kind", ["shadow", "watch"])
async def test_another_version_answers_what_is_predicted_and_labelled_after_the_comparison_began(kind, log_url):
    """Both answer the same rows, whoever was asked; a restart in between loses and doubles nothing."""
    policy = ModelPolicy(monitoring=PATIENT.monitoring, gate=Gate(odds=15))
    async with watched(log_url) as m:
        await m.in_use(policy)
        other = await m.train(sabotaged=True)
        said = await m.predict(20)
        await m.label(said[:10])
        await m.tell("model", m.id, model.StartComparison(f"{m.id}-2", kind, other))
        await m.label([*said[10:], *await m.predict(20)])
        async with observer(log_url):
            await m.observed(outcomes=40)
        async with observer(log_url):
            await m.label(await m.predict(10, by=await m.version(other)))
            await m.observed(outcomes=50)
            await m.tell("model", m.id, model.EndComparison(f"{m.id}-2"))
            await asyncio.sleep(0.1)
            await m.use(10)
            await m.observed(outcomes=60)
        stored, judged = await m.rows_of(monitor.OutcomesObserved), await m.events(monitor.ComparisonJudged)
        versions = [await m.version(each) for each in ("1", other)]
    compared = judged[-1].compared
    assert (compared.experiment_id, compared.kind, compared.other) == (f"{m.id}-2", kind, other)
    rows = [list(each) for each in zip(stored["x"], stored["city"], strict=True)][20:50]
    active, others = (each._fitted.predict(rows)[0] for each in versions)
    assert stored[ACTIVE] == [*[None] * 20, *active]
    assert stored[OTHER] == [*[None] * 20, *others]
    right = [(a == y, o == y) for a, o, y in zip(active, others, stored[LABEL][20:50], strict=True)]
    pairs = gate.Pairs(*(right.count(each) for each in ((True, True), (True, False), (False, True), (False, False))))
    assert compared.judgement == gate.judge(pairs, 15 if kind == "shadow" else 20)
    assert (compared.judgement.decision, pairs.rows) == ("worse", 30)


async def test_a_comparison_goes_on_when_it_is_to_be_watched_otherwise(log_url):
    async with watched(log_url) as m:
        await m.in_use()
        other = await m.train()
        await m.tell("model", m.id, model.StartComparison(f"{m.id}-2", "shadow", other))
        async with observer(log_url):
            await m.use(20)
            await m.observed(20, 20)
            otherwise = structs.replace(PATIENT.monitoring, window=60)
            await m.tell("model", m.id, model.Configure(policy=ModelPolicy(monitoring=otherwise)))
            await m.until(lambda state: state.beginnings == 2)
            await m.use(10)
            await m.observed(30, 30)
        judged = await m.events(monitor.ComparisonJudged)
        assert (await m.state()).beginnings == 2
    assert [each.compared.judgement.pairs.rows for each in judged] == [20, 30]


async def test_what_a_later_version_has_begun_is_not_recalled_by_who_has_not_heard_of_it(log_url):
    async with watched(log_url) as m, observer(log_url):
        await m.in_use()
        await m.until(lambda state: state.beginnings == 1)
        heard = await m.core.store.load(StreamId("model", m.id), latest=True)
        await m.promote(await m.train())
        await m.until(lambda state: state.beginnings == 2)
        sources = Sources(m.core.store, m.core.aggregates, m.blobs, m.predictions, _nobody, QUICK)
        late, current = Followed(), Followed()
        for event in heard:
            late = follow(late, event, m.core.store.decode(event))
        for event in await m.core.store.load(StreamId("model", m.id), latest=True):
            current = follow(current, event, m.core.store.decode(event))
        assert await recall(sources, m.id, late) is None
        assert (await recall(sources, m.id, current)).state.began.version == "2"


async def _nobody(category, id, command, command_id):
    raise AssertionError("nothing is to be reported")


async def test_only_as_much_is_read_again_as_labels_are_remembered_for(log_url):
    async with watched(log_url) as m:
        await m.in_use()
        async with observer(log_url):
            for total in (20, 40, 60):
                await m.use(20)
                await m.observed(total, total)
        contents = [each.content for each in await m.events(monitor.OutcomesObserved)]
        version = (await m.core.store.load(StreamId("monitor", m.id), latest=True))[-1].version
        found = [await latest_outcomes(m.core.store, m.id, version, rows) for rows in (1, 20, 21, 1_000)]
    assert found == [contents[-1:], contents[-1:], contents[-2:], contents]


async def test_another_version_in_use_means_another_reference(log_url):
    async with watched(log_url) as m, observer(log_url):
        await m.in_use()
        await m.use(30)
        await m.observed(30, 30)
        await m.promote(await m.train())
        await m.until(lambda state: state.beginnings == 2)
        await m.use(20)
        await m.observed(50, 50)
        await m.tell("model", m.id, model.RollBack("as good"))
        await m.until(lambda state: state.beginnings == 3)
        m.served = await m.version("1")
        await m.use(10)
        await m.observed(60, 60)
        began = await m.events(monitor.Began)
        versions = [each.version for each in await m.events(monitor.InputsObserved)]
    assert [each.version for each in began] == ["1", "2", "1"]
    assert began[0].reference == began[2].reference != began[1].reference
    assert sorted(set(versions)) == ["1", "2"]


async def test_what_was_promoted_and_rolled_back_unseen_begins_anew(log_url):
    async with watched(log_url) as m:
        await m.in_use()
        async with observer(log_url):
            await m.until(lambda state: state.beginnings == 1)
        await m.promote(await m.train())
        await m.tell("model", m.id, model.RollBack())
        async with observer(log_url):
            await m.until(lambda state: state.beginnings == 2)
        async with observer(log_url):
            m.served = await m.version("1")
            await m.use(5)
            await m.observed(5, 5)
        assert (await m.state()).beginnings == 2


async def test_another_budget_means_other_thresholds_from_then_on(log_url):
    async with watched(log_url) as m, observer(log_url):
        await m.in_use()
        await m.use(30)
        await m.observed(30, 30)
        strict = ModelPolicy(monitoring=Monitoring(Budget(1, 365), window=200, retrain_on=()))
        await m.tell("model", m.id, model.Configure(policy=strict))
        state = await m.until(lambda state: state.beginnings == 2)
        await m.tell("model", m.id, model.Configure(policy=structs.replace(strict, training=Training(rows=50))))
        await m.use(10)
        await m.observed(40, 40)
        assert (await m.state()).beginnings == 2, "that has nothing to do with watching"
    assert state.began.monitoring == strict.monitoring
    assert state.began.thresholds == thresholds_for(strict.monitoring, FEATURES)


async def test_the_schedule_asks_for_a_training(log_url):
    policy = ModelPolicy(monitoring=PATIENT.monitoring, retrain_every=0.3)
    async with watched(log_url) as m, observer(log_url):
        await m.in_use(policy)
        await until(lambda: _is_training(m))
        first = (await m.known()).training
        await asyncio.sleep(0.5)
        assert (await m.known()).reserved == 2, "one at a time"
        await m.tell("model", m.id, model.ReleaseTraining(first))
        await until(lambda: _is_training(m))
        opened = await m.core.store.load(StreamId("experiment", first), latest=True)
    requested = m.core.store.decode(opened[0])
    assert (requested.trigger, requested.reason[:13]) == ("schedule", "0.3 s after 2")


async def test_drift_whose_training_was_never_asked_for_is_remembered(log_url):
    """It was recorded, and then the observer ended."""
    async with watched(log_url) as m:
        await m.in_use(ModelPolicy(monitoring=structs.replace(EAGER, retrain_on=())))
        async with observer(log_url):
            m.world.changed = True
            await m.use(60)
            await until(lambda: _has(m, monitor.Judged))
        state = await m.state()
        asks = structs.replace(EAGER, retrain_on=("errors",))
        judged = (await m.events(monitor.Judged))[-1]
        await m.tell("model", m.id, model.Configure(policy=ModelPolicy(monitoring=asks)))
        began = structs.replace(state.began, monitoring=asks, after=state.inputs_to)
        await m.tell("monitor", m.id, monitor.Begin(*structs.astuple(began)))
        labels = state.labels_to + 1
        again = monitor.ObserveOutcomes(state.beginnings + 1, labels, labels, 0, 0, 0, 0, None, (judged.verdict,))
        await m.tell("monitor", m.id, again)
        async with observer(log_url):
            await until(lambda: _is_training(m))
        async with observer(log_url):
            await m.tell("model", m.id, model.ReleaseTraining((await m.known()).training))
            await m.predict(5)
            await m.observed(inputs=65)
        assert (await m.known()).training is None, "the same command is not carried out twice"


async def test_what_cannot_be_read_holds_up_that_model_alone_until_it_can(log_url, caplog):
    async with watched(log_url) as m, watched(log_url, seed=2) as fine:
        await fine.in_use()
        await m.in_use()
        artifact = (await m.known()).versions["1"].artifact
        content = await m.blobs.get(artifact)
        store = await m.core.connection.jetstream().object_store("BLOBS")
        await store.delete(artifact)
        async with observer(log_url):
            await until(lambda: "BlobMissing" in caplog.text)
            await fine.use(20)
            await fine.observed(20, 20)
            assert await m.state() == monitor.Idle()
            await m.use(10)
            await m.blobs.put(content)
            await m.observed(10, 10)
    told = [record.message for record in caplog.records if artifact in record.message]
    assert len(told) == 1, "it is told once"
    assert f"the watch of model {m.id} is interrupted, and tried again: BlobMissing" in told[0]


async def test_the_log_may_go_away_and_come_back(own_nats):
    await own_nats.ready()
    await initialise_server(own_nats.url)
    async with watched(own_nats.url) as m, observer(own_nats.url):
        await m.in_use()
        await m.use(20)
        await m.observed(20, 20)
        own_nats.nodes[0].kill()
        await asyncio.sleep(0.3)
        own_nats.nodes[0].start()
        await until(lambda: m.core.connection.is_connected)
        await m.use(10)
        await m.observed(30, 30)


async def test_a_model_without_a_version_in_use_is_left_alone(log_url):
    async with watched(log_url) as m, observer(log_url) as watching:
        await m.register(ModelPolicy(retrain_every=0.01))
        async with asyncio.timeout(10):
            await watching.ready.wait()
        await m.train()
        await asyncio.sleep(0.2)
        assert (await m.known()).training is None
        assert await m.state() == monitor.Idle()


def test_it_waits_longer_for_company_the_longer_a_version_is_in_use():
    """So that a restart has a bounded number of observations to read."""
    pace = Pace()
    ages = [timedelta(minutes=1), timedelta(hours=2), timedelta(days=40)]
    assert [round(pace.patience(now() - age)) for age in ages] == [1, 4, 60]
    assert QUICK.patience(now() - ages[2]) == 0.05
