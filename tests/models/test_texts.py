"""A model that reads texts: the same answers as the pipeline, the same bytes, nothing made of a made-up file; trained,
served, recorded and watched as any other."""

import asyncio
import hashlib
import json
import random
import uuid
from collections.abc import Callable
from functools import cache
from typing import Any, get_args

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from domain import dataset, model, monitor
from domain.dataset import Column
from domain.model_policy import Monitoring
from domain.pipeline import Algorithm, Feature, Pipeline, Value
from models.data.datasets import from_file
from models.data.tables import to_parquet
from models.learn import archives, fitting, pipelines
from models.learn.artifacts import ArtifactRefused, dump, load
from models.learn.encoding import table
from models.learn.fitted import Fitted
from models.learn.training import TrainingTask, train
from models.observe.observed import WRONG
from models.observe.referencing import read_reference, thresholds_for
from models.serve.predictions import Predictions
from models.serve.rows import RowReader, RowsInvalid
from sagacity.wiring import open_core
from tests.models.watched import PATIENT, Watched, observer

ALGORITHMS: list[Algorithm] = [each for each in get_args(Algorithm) if each != "gradient_boosting"]
TEXT = (Feature("said", "text"),)
MIXED = (Feature("size"), Feature("said", "text"), Feature("city", "category"), Feature("note", "text"))
SMALL: dict[Algorithm, dict[str, Any]] = {"random_forest": {"n_estimators": 5}}
WORDS = {"fruit": "apple pear plum cherry Äpfel melon", "tool": "hammer saw drill chisel Säge pliers"}


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Threads that wait for each other make these tests slow on a machine that has other things to do."""
    with threadpool_limits(1):
        yield


def said(source: random.Random, kind: str) -> str:
    return " ".join([*source.choices(WORDS[kind].split(), k=3), *source.choices(["we", "buy", "the", "two"], k=3)])


def rows_of(count: int, seed: int = 1) -> tuple[list[list[Value]], list[str]]:
    """Columns of MIXED: `said` tells the class, but for a tenth that is missing."""
    source = random.Random(seed)
    labels = [source.choice(["fruit", "tool"]) for _ in range(count)]
    texts: list[Value] = [None if source.random() < 0.1 else said(source, label) for label in labels]
    sizes: list[Value] = [source.gauss(0, 1) for _ in labels]
    cities: list[Value] = [source.choice(["oslo", "rome", None]) for _ in labels]
    return [sizes, texts, cities, [None, *texts[1:]]], labels


@cache
def fitted(algorithm: Algorithm = "logistic_regression", features: tuple[Feature, ...] = MIXED) -> Fitted:
    columns, labels = rows_of(60)
    chosen = columns if features == MIXED else [columns[1]]
    pipeline = pipelines.build(Pipeline(algorithm, SMALL.get(algorithm, {})), features, 5)
    return Fitted(features, ("fruit", "tool"), pipeline.fit(table(chosen, features), np.array(labels)))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_answers_are_those_of_the_pipeline_to_the_last_bit_alone_and_together(algorithm: Algorithm) -> None:
    found = fitted(algorithm)
    columns, labels = rows_of(20, seed=2)
    rows = list(zip(*columns, strict=True))
    expected = found.pipeline.predict_proba(table(columns, MIXED))
    assert (found.probabilities(rows) == expected).all()
    assert [found.predict([row])[0][0] for row in rows] == found.predict(rows)[0]
    right = sum(one == other for one, other in zip(found.predict(rows)[0], labels, strict=True))
    assert right >= 14


def test_case_accents_and_the_form_of_a_word_make_little_difference() -> None:
    found = fitted(features=TEXT)
    assert found.predict([["ÄPFEL"], ["apfel"], ["zwei Hämmer, hammering"]])[0] == ["fruit", "fruit", "tool"]
    assert found.predict([["PLUM"]]) == found.predict([["plum"]])


def test_a_missing_text_is_one_without_words() -> None:
    found = fitted(features=TEXT)
    assert found.predict([[None]]) == found.predict([[""]]) == found.predict([["?"]])


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_was_read_answers_as_what_was_written_and_is_written_alike(algorithm: Algorithm) -> None:
    content = dump(fitted(algorithm))
    read = load(content)
    rows = list(zip(*rows_of(10, seed=3)[0], strict=True))
    assert (read.probabilities(rows) == fitted(algorithm).probabilities(rows)).all()
    assert dump(read) == content


def test_an_artifact_holds_no_word_of_the_texts_it_was_made_from() -> None:
    content = dump(fitted(features=TEXT)).lower()
    assert not any(word.encode() in content for kind in WORDS.values() for word in kind.lower().split())


def forged(change: Callable[[dict[str, Any]], Any], of: str) -> bytes:
    """The contents of every object of a class are changed."""
    files = archives.read(dump(fitted(features=TEXT)))
    schema = json.loads(files["schema.json"])
    for node in archives.nodes(schema):
        if node["__class__"] == of:
            change(node["content"]["content"])
    return archives.write({**files, "schema.json": json.dumps(schema).encode()})


@pytest.mark.parametrize(
    ("of", "name", "value"),
    [
        ("HashingVectorizer", "input", '"filename"'),
        ("HashingVectorizer", "n_features", "64"),
        ("HashingVectorizer", "n_features", "1073741824"),
        ("HashingVectorizer", "token_pattern", '"(a+)+$"'),
        ("TfidfTransformer", "norm", '"l1"'),
    ],
)
def test_a_file_that_would_read_texts_in_another_way_is_refused(of: str, name: str, value: str) -> None:
    """It could read files of the machine, or write beside its columns."""
    content = forged(lambda parameters: parameters[name].update(content=value), of)
    with pytest.raises(ArtifactRefused, match="texts are not read as they are here"):
        load(content)


def test_weights_of_another_width_and_texts_under_another_type_are_refused() -> None:
    files = archives.read(dump(fitted(features=TEXT)))
    header = json.loads(files["model.json"])
    for features in ([{"name": "said", "type": "category"}], [{"name": "said"}], header["features"] * 2):
        changed = json.dumps({**header, "features": features}).encode()
        with pytest.raises(ArtifactRefused, match=r"there are \d "):
            load(archives.write({**files, "model.json": changed}))
    coefficients = max((name for name in files if name.endswith(".npy")), key=lambda name: len(files[name]))

    def narrower(parameters: dict[str, Any]) -> None:
        if "idf_" in parameters:
            parameters["idf_"]["file"] = coefficients

    with pytest.raises(ArtifactRefused, match="there are other weights than words"):
        load(forged(narrower, "TfidfTransformer"))


def ndjson(count: int, seed: int = 1) -> bytes:
    columns, labels = rows_of(count, seed)
    return b"".join(
        json.dumps({"said": text, "kind": label}).encode() + b"\n"
        for text, label in zip(columns[1], labels, strict=True)
    )


async def test_an_uploaded_column_of_categories_is_trained_on_as_text_byte_for_byte_the_same() -> None:
    prepared = from_file(ndjson(120), "ndjson")
    assert [column.type for column in prepared.columns] == ["category", "category"]
    content = hashlib.sha256(prepared.content).hexdigest()
    task = TrainingTask(content, TEXT, "kind", Pipeline("logistic_regression"), 7, 0.25, "random")
    first, artifact = await train(task, prepared.content, timeout=60)
    _, again = await train(task, prepared.content, timeout=60)
    assert again == artifact
    assert first.artifact == hashlib.sha256(artifact).hexdigest()
    held_out = fitting.holdout(task, prepared.content)
    labels, _ = load(artifact).predict(list(zip(*held_out.columns, strict=True)))
    assert sum(a == b for a, b in zip(labels, held_out.labels, strict=True)) >= 0.8 * len(labels)


def test_more_distinct_texts_than_there_may_be_categories_are_no_fault() -> None:
    texts: list[Value] = [f"text number {number} is {'apple' if number % 2 else 'hammer'}" for number in range(1_200)]
    labels: list[Value] = ["fruit" if number % 2 else "tool" for number in range(1_200)]
    data = to_parquet({"said": texts, "kind": labels}, {"said": "text", "kind": "category"})
    content = hashlib.sha256(data).hexdigest()
    task = TrainingTask(content, TEXT, "kind", Pipeline("logistic_regression"), 7, 0.25, "random")
    assert fitting.train(task, data)[0].training_samples == 900
    dense = TrainingTask(content, TEXT * 10, "kind", Pipeline("naive_bayes"), 7, 0.25, "random")
    with pytest.raises(fitting.TaskImpossible, match="more than 200000000 cells"):
        fitting.train(dense, data)


def test_an_algorithm_that_cannot_read_texts_says_so() -> None:
    data = from_file(ndjson(60), "ndjson").content
    content = hashlib.sha256(data).hexdigest()
    task = TrainingTask(content, TEXT, "kind", Pipeline("gradient_boosting"), 7, 0.25, "random")
    with pytest.raises(fitting.TaskImpossible, match="gradient_boosting takes no texts"):
        fitting.train(task, data)


def test_rows_may_have_a_text_a_number_or_null() -> None:
    reader = RowReader(TEXT)
    assert reader.one(b'{"said": "two plums"}') == [["two plums"]]
    assert reader.many_of([{"said": None}, {"said": 4}, {"said": ""}], "") == [[None], ["4"], [None]]
    for wrong in (["plum"], "x" * 1_001, "\0"):
        with pytest.raises(RowsInvalid):
            reader.one_of({"said": wrong}, "")


def test_drift_is_budgeted_for_numbers_and_categories_alone() -> None:
    policy = Monitoring()
    without = (Feature("size"), Feature("city", "category"))
    assert thresholds_for(policy, MIXED) == thresholds_for(policy, without)


class WatchedTexts(Watched):
    """Trained on an upload of its own."""

    async def register(self, policy: Any = PATIENT) -> None:
        await self.tell("model", self.id, model.Register("Kinds", TEXT, "kind", policy=policy))

    async def _dataset(self, rows: int, *, sabotaged: bool = False) -> tuple[str, str]:
        prepared = from_file(ndjson(rows), "ndjson")
        content, id = await self.blobs.put(prepared.content), uuid.uuid4().hex
        registered = dataset.Register(
            "texts", "upload", content, len(prepared.content), rows, "kind", prepared.columns, prepared.quality_score
        )
        await self.tell("dataset", id, registered)
        return content, id


async def test_it_is_trained_served_recorded_and_watched(log_url: str) -> None:
    """Its texts are stored with what was observed, but only predictions and errors are compared."""
    async with open_core(log_url) as core:
        predictions = Predictions(core.connection)
        m = WatchedTexts(core, predictions, seed=1)
        await m.in_use(PATIENT)
        async with observer(log_url):
            await m.until(lambda state: state.beginnings == 1)
            columns, labels = rows_of(220, seed=9)
            answer = await m.served.predict([[text] for text in columns[1]])
            await m.label(list(zip(answer.ids, labels, strict=True)))
            await m.observed(220, 220)
        state = await m.state()
        reference = await read_reference(m.blobs.get, state.began.reference)
        (observed,) = [each for each in await m.events(monitor.InputsObserved) if each.windows]
        rows = await m.rows_of(monitor.InputsObserved)
        outcomes = await m.rows_of(monitor.OutcomesObserved)
        await asyncio.wait_for(predictions.close(), 5)
    assert reference.columns == {}
    assert reference.predictions is not None
    assert [set(window.features) for window in observed.windows] == [{"prediction"}] * 2
    assert rows["said"] == columns[1]
    assert sum(wrong == 1.0 for wrong in outcomes[WRONG]) < 60


def test_statistics_of_a_column_of_texts_are_those_of_a_category() -> None:
    (column, _) = from_file(ndjson(50), "ndjson").columns
    assert isinstance(column, Column)
    assert column.distinct > 20
