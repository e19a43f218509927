"""Which domain a text is of: by the built-in classifier, and by the model of people's own once there is one."""

import asyncio
import hashlib
import json
from pathlib import Path

import msgspec
import pytest

from domain import model
from domain.pipeline import Pipeline
from eventstore.blobs import Blobs
from eventstore.tasks import end_tasks
from models.data.datasets import from_file
from models.learn.artifacts import dump, load
from models.learn.training import TrainingTask, train
from models.serve.predictions import Predictions
from models.serve.serving import Predictor
from records.analyse import learning
from records.analyse.domains import DomainClassifier, builtin
from sagacity.wiring import open_core
from tests.eventstore.log import until
from tests.models.trained import tell


def texts_of(name):
    return [json.loads(line) for line in Path(__file__).with_name(name).read_text().splitlines()]


HELD_OUT = texts_of("held_out.ndjson")


@pytest.fixture(scope="module")
def classifier():
    return DomainClassifier()


async def test_more_than_nine_of_ten_texts_that_it_never_saw_are_told_apart(classifier):
    """Twenty of each domain, in four languages; none of them is an example."""
    known = {example.text for example in learning.examples()}
    assert not known & {each["text"] for each in HELD_OUT}
    found = [await classifier.classify(each["text"]) for each in HELD_OUT]
    right = [one.domain == each["domain"] for one, each in zip(found, HELD_OUT, strict=True)]
    assert len(right) == 80
    assert sum(right) / len(right) > 0.9
    sure = [is_right for one, is_right in zip(found, right, strict=True) if one.confidence >= 0.5]
    assert sum(sure) / len(sure) > 0.95


async def test_three_of_four_are_told_apart_of_texts_that_nothing_was_chosen_by(classifier):
    """Written when examples and parameters were settled; the held-out ones were in sight before."""
    blind = texts_of("blind.ndjson")
    found = [await classifier.classify(each["text"]) for each in blind]
    right = sum(one.domain == each["domain"] for one, each in zip(found, blind, strict=True))
    assert right / len(blind) >= 0.75


async def test_an_answer_names_all_candidates_and_the_examples_it_was_learnt_from(classifier):
    found = await classifier.classify("Invoice 17, total 80.00 EUR, VAT included, please pay by bank transfer")
    assert found.domain == "financial"
    assert found.confidence == max(found.candidates.values())
    assert set(found.candidates) == {"financial", "logistics", "medical", "other"}
    digest = hashlib.sha256(learning.examples_file()).hexdigest()
    assert found.classifier == f"builtin-{digest[:12]}"


async def test_a_text_that_says_nothing_is_of_no_domain(classifier):
    for text in ("", "?!", "\0\ud800"):
        assert (await classifier.classify(text)).confidence < 0.5


def test_the_same_examples_give_the_same_model():
    assert dump(builtin()) == dump(builtin())


def test_each_domain_has_many_examples_and_none_is_there_twice():
    texts = [each.text for each in learning.examples()]
    assert len(set(texts)) == len(texts)
    for domain in ("financial", "logistics", "medical", "other"):
        assert sum(each.domain == domain for each in learning.examples()) >= 60


async def test_a_model_of_ones_own_takes_over_when_it_is_in_use_and_its_answers_are_recorded(log_url):
    """Registered, trained on an upload and promoted by the commands that any model is."""
    async with open_core(log_url) as core:
        blobs, predictions = Blobs(core.connection), Predictions(core.connection)
        predictor = Predictor(core.store, core.aggregates, blobs, predictions)
        following = asyncio.create_task(predictor.run())
        classifier = DomainClassifier(predictor)
        assert (await classifier.classify("invoice")).classifier.startswith("builtin-")

        rows = b"".join(
            json.dumps({"text": f"{word} {number}", "domain": domain}).encode() + b"\n"
            for number in range(20)
            for word, domain in (("contract clause court", "legal"), ("sheep barn harvest", "farming"))
        )
        uploaded = await learning.upload(blobs, rows)
        data = await blobs.get(uploaded.content)
        pipeline = Pipeline("logistic_regression")
        task = TrainingTask(uploaded.content, learning.FEATURES, learning.TARGET, pipeline, 0, 0.25, "random")
        trained, content = await train(task, data, timeout=60)
        assert load(content).features == learning.FEATURES
        artifact, id = await blobs.put(content), learning.MODEL
        added = model.AddVersion(
            "1", f"{id}-1", artifact, learning.DATASET, uploaded.content, 30, trained.classes, {}, model.Holdout(10, 0)
        )
        await tell(core, id, learning.registration(), model.ReserveTraining(f"{id}-1", "1"), added)
        await tell(core, id, model.ReleaseTraining(f"{id}-1"), model.Promote("1"))

        async def takes_over():
            return (await fresh.classify("the harvest is in the barn")).classifier == f"{id}-1"

        fresh = DomainClassifier(predictor)
        await until(takes_over)
        found = await fresh.classify("the harvest is in the barn")
        assert (found.domain, list(found.candidates)) == ("farming", ["farming"])
        recorded = await predictions.find(id, found.prediction.partition(".")[0])
        assert recorded.rows == [["the harvest is in the barn"]]
        await end_tasks(following)
        await predictions.close()


def test_the_shipped_examples_are_a_dataset_and_the_model_a_command():
    registration = learning.registration()
    assert [(feature.name, feature.type) for feature in registration.features] == [("text", "text")]
    assert registration.target == "domain"
    assert learning.read("x" * 5_000) == "x" * 1_000


def test_what_is_written_for_the_command_line_is_the_model_and_its_examples(tmp_path):
    described, rows = learning.write(tmp_path)
    given = {"type": "model.register", **msgspec.json.decode(described.read_bytes())}
    assert msgspec.convert(given, model.Register) == learning.registration()
    assert from_file(rows.read_bytes(), "ndjson").samples == len(learning.examples())
