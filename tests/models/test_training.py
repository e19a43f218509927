"""Training: reproducible from the task alone, in a process that can be stopped, on data that fit; and evaluation."""

import asyncio
import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, get_args

import numpy as np
import pytest
from msgspec import msgpack, structs
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, log_loss

from domain.gate import Pairs
from domain.model import Holdout
from domain.pipeline import Algorithm, ColumnType, Feature, Pipeline, Value
from models.data.generating import two_features
from models.data.tables import to_parquet
from models.learn import evaluation, fitting
from models.learn.artifacts import Fitted, load
from models.learn.fitting import Labelled, TaskImpossible
from models.learn.training import Train, TrainingFailed, TrainingTask, TrainingTimedOut, evaluate, train

ROOT = Path(__file__).parents[2]
ALGORITHMS: tuple[Algorithm, ...] = get_args(Algorithm)
SIZES: dict[Algorithm, dict[str, Any]] = {"random_forest": {"n_estimators": 9}, "gradient_boosting": {"max_iter": 5}}
FEATURES = (Feature("feature1"), Feature("feature2"))
DATA = to_parquet(*two_features(400, 3))
MUCH = to_parquet(*two_features(30_000, 3))
ENDLESS = Pipeline("random_forest", {"n_estimators": 1_000})
"""On MUCH: it takes minutes."""
Found = TypeVar("Found")
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")


def task_for(data: bytes = DATA, algorithm: Algorithm = "logistic_regression", **changed: Any) -> TrainingTask:
    pipeline = Pipeline(algorithm, SIZES.get(algorithm, {}))
    content = hashlib.sha256(data).hexdigest()
    task = TrainingTask(content, FEATURES, "target", pipeline, seed=7, holdout=0.3, split="random")
    return structs.replace(task, **changed)


def file_of(**columns: list[Value]) -> bytes:
    kinds: dict[str, ColumnType] = {
        name: "category" if any(isinstance(value, str) for value in values) else "number"
        for name, values in columns.items()
    }
    return to_parquet(columns, kinds)


# --- Reproducibility


ELSEWHERE = """
import json, sys
from tests.models.test_training import ALGORITHMS, DATA, fitting, task_for
waste = [bytearray(number * 97) for number in range(5_000)]
hashes = {each: fitting.train(task_for(DATA, each), DATA)[0].artifact for each in reversed(ALGORITHMS)}
json.dump(hashes, sys.stdout)
"""


def test_the_same_task_gives_the_same_bytes_in_another_process() -> None:
    """Of every algorithm; in another order, with other hashes of strings and another number of threads."""
    environment = {**os.environ, "PYTHONHASHSEED": "4711", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", ELSEWHERE], env=environment, check=True, capture_output=True)
    here = {each: fitting.train(task_for(DATA, each), DATA)[0].artifact for each in ALGORITHMS}
    assert json.loads(done.stdout) == here
    assert len(set(here.values())) == len(ALGORITHMS)


async def test_two_trainings_make_the_same_artifact_and_say_what_made_it() -> None:
    """One in a process of its own, one in this."""
    task = task_for(algorithm="random_forest")

    (first, artifact), (second, again) = await train(task, DATA, timeout=60), fitting.train(task, DATA)

    assert artifact == again
    assert first.artifact == second.artifact == hashlib.sha256(artifact).hexdigest()
    assert (first.artifact_bytes, first.classes) == (len(artifact), ("0", "1"))
    assert (first.training_samples, first.holdout_samples) == (280, 120)
    assert set(first.libraries) == {"python", "numpy", "scipy", "scikit-learn", "skops", "pyarrow"}
    assert first.libraries["python"] == sys.version.split()[0]
    assert 0 < first.duration_seconds < 60
    assert load(artifact).predict([[3.0, 3.0], [-3.0, -3.0]])[0] == ["1", "0"]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_another_seed_or_other_data_make_another_artifact(algorithm: Algorithm) -> None:
    other = to_parquet(*two_features(400, 4))
    tasks = [
        (task_for(DATA, algorithm), DATA),
        (task_for(DATA, algorithm, seed=8), DATA),
        (task_for(other, algorithm), other),
    ]
    assert len({fitting.train(task, data)[0].artifact for task, data in tasks}) == 3


# --- The split


def split(labels: list[str], **changed: Any) -> tuple[list[int], list[int]]:
    return fitting.split(labels, task_for(**changed))


def test_each_class_has_its_share_of_the_holdout() -> None:
    labels = ["rare"] * 20 + ["common"] * 180
    training, held_out = split(labels)
    assert sorted(training + held_out) == list(range(200))
    assert len(held_out) == 60
    assert sum(labels[place] == "rare" for place in held_out) == 6


def test_the_seed_decides_who_is_held_out() -> None:
    labels = ["a", "b"] * 50
    assert split(labels, seed=1) == split(labels, seed=1)
    assert split(labels, seed=1) != split(labels, seed=2)


@pytest.mark.parametrize(
    "labels", [["once"] + ["a"] * 30, [str(number // 2) for number in range(40)]], ids=["one row", "many classes"]
)
def test_classes_too_rare_to_share_are_split_by_chance_alone(labels: list[str]) -> None:
    training, held_out = split(labels)
    assert sorted(training + held_out) == list(range(len(labels)))
    assert len(held_out) == -(-3 * len(labels) // 10)


def test_by_time_the_latest_rows_are_held_out() -> None:
    assert split(["a", "b"] * 5, split="time", holdout=0.25) == (list(range(7)), [7, 8, 9])


def test_the_holdout_is_not_trained_on() -> None:
    """A tree knows by heart what it has seen: of labels by chance it is right about those, and half of the others."""
    noise: list[Value] = np.random.default_rng(1).normal(size=300).tolist()
    chance: list[Value] = np.random.default_rng(2).choice(["a", "b"], size=300).tolist()
    data = file_of(feature1=noise, feature2=noise, target=chance)
    task = task_for(data, "decision_tree")
    model = load(fitting.train(task, data)[1])
    everything = fitting.rows(task, data)
    training, held_out = fitting.split(everything.labels, task)

    assert evaluation.answers(model, everything.at(training)).right.all()
    assert fitting.holdout(task, data) == everything.at(held_out)
    assert evaluation.answers(model, everything.at(held_out)).right.mean() < 0.7


# --- Data that do not fit


def test_rows_without_a_label_are_left_out_and_labels_are_names() -> None:
    data = file_of(feature1=[float(x) for x in range(20)], feature2=[None] * 20, target=[1.0, 0.0, None, 1.0] * 5)
    rows = fitting.rows(task_for(data), data)
    assert rows.labels == ["1", "0", "1"] * 5
    assert rows.columns[0] == [float(x) for x in range(20) if x % 4 != 2]


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"feature1": [1.0] * 12}, "there is no column 'feature2'; there is no column 'target'"),
        (
            {"feature1": ["a"] * 12, "feature2": [1.0] * 12, "target": [1.0, 0.0] * 6},
            "the column 'feature1' holds categories, not numbers",
        ),
        (
            {"feature1": [1.0] * 12, "feature2": [1.0] * 12, "target": [1.0, 0.0, None] * 4},
            "8 rows have a label; at least 10 are needed",
        ),
        (
            {"feature1": [1.0] * 12, "feature2": [1.0] * 12, "target": ["x"] * 12},
            "all rows are of the class 'x': there is nothing to tell apart",
        ),
    ],
)
def test_data_that_do_not_fit_are_refused_with_the_reason(columns: dict[str, list[Value]], reason: str) -> None:
    data = file_of(**columns)
    with pytest.raises(TaskImpossible) as caught:
        fitting.train(task_for(data), data)
    assert str(caught.value) == reason


def test_data_that_are_not_those_of_the_task_are_refused() -> None:
    with pytest.raises(TaskImpossible, match="the data are not those that the task names"):
        fitting.train(task_for(DATA), DATA + b" ")


def test_one_class_left_to_train_on_is_refused() -> None:
    data = file_of(feature1=[1.0] * 20, feature2=[1.0] * 20, target=["x"] * 14 + ["y"] * 6)
    with pytest.raises(TaskImpossible, match="the rows to train on are all of the class 'x'"):
        fitting.train(task_for(data, split="time"), data)


def test_a_column_with_a_category_for_every_row_is_refused() -> None:
    data = file_of(feature1=[1.0] * 3_000, feature2=[f"id {x}" for x in range(3_000)], target=[1.0, 0.0] * 1_500)
    features = (Feature("feature1"), Feature("feature2", "category"))
    with pytest.raises(TaskImpossible, match="'feature2' has 2100 categories; at most 1000"):
        fitting.train(task_for(data, features=features), data)


# --- The process


async def test_what_is_wrong_comes_out_of_the_process() -> None:
    impossible = Pipeline("logistic_regression", {"solver": "newton-cg", "l1_ratio": 1.0})
    pickled = b"cos\nsystem\n(S'true'\ntR."
    training, evaluation = await asyncio.gather(
        train(task_for(pipeline=impossible), DATA, timeout=60),
        evaluate(pickled, None, task_for(), DATA, timeout=60),
        return_exceptions=True,
    )
    assert isinstance(training, TrainingFailed)
    assert "newton-cg supports only 'l2'" in training.reason
    assert isinstance(evaluation, TrainingFailed)
    assert evaluation.reason.startswith("this is no artifact: ")


@on_linux
async def test_a_training_that_takes_too_long_is_ended() -> None:
    with pytest.raises(TrainingTimedOut, match=r"not finished after 0\.2 s"):
        await train(task_for(MUCH, pipeline=ENDLESS), MUCH, timeout=0.2)
    assert trainings_of(os.getpid()) == set()


@on_linux
async def test_a_cancelled_training_is_ended_at_once() -> None:
    running = asyncio.create_task(train(task_for(MUCH, pipeline=ENDLESS), MUCH, timeout=60))
    await until(lambda: trainings_of(os.getpid()))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert trainings_of(os.getpid()) == set()


@on_linux
async def test_a_training_is_nice_sees_no_secrets_and_says_when_it_was_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", "secret")
    running = asyncio.create_task(train(task_for(MUCH, pipeline=ENDLESS), MUCH, timeout=60))
    (process,) = await until(lambda: trainings_of(os.getpid()))
    await until(lambda: os.getpriority(os.PRIO_PROCESS, process) >= 10)
    environment = Path(f"/proc/{process}/environ").read_bytes()
    os.kill(process, signal.SIGKILL)
    with pytest.raises(TrainingFailed, match="ended by SIGKILL: it may have needed more memory"):
        await running
    assert b"DATABASE_PASSWORD" not in environment
    assert b"OMP_NUM_THREADS=1" in environment


ORPHANED = """
import asyncio, sys
from msgspec import msgpack
from models.learn.training import Train, train
work = msgpack.decode(sys.stdin.buffer.read(), type=Train)
asyncio.run(train(work.task, work.data, timeout=600))
"""


@on_linux
async def test_a_training_ends_with_the_process_that_wanted_it() -> None:
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", ORPHANED), stdin=asyncio.subprocess.PIPE, cwd=ROOT
    )
    assert parent.stdin is not None
    parent.stdin.write(msgpack.encode(Train(task_for(MUCH, pipeline=ENDLESS), MUCH)))
    parent.stdin.close()
    (process,) = await until(lambda: trainings_of(parent.pid))
    parent.kill()
    await parent.wait()
    await until(lambda: not _command(process))


def trainings_of(parent: int) -> set[int]:
    """Processes, and everything in groups of theirs."""
    found: set[int] = set()
    for directory in Path("/proc").glob("[0-9]*"):
        if b"models.learn.training_process" in _command(int(directory.name)) and _parent(directory) == parent:
            found.add(int(directory.name))
    return found


def _command(process: int) -> bytes:
    """Empty when there is no such process any more."""
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""


def _parent(directory: Path) -> int:
    try:
        return int((directory / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


async def until(look: Callable[[], Found]) -> Found:
    """What it found, as soon as that is something."""
    async with asyncio.timeout(60):
        while not (found := look()):
            await asyncio.sleep(0.02)
    return found


# --- Evaluation


ROWS = Labelled(
    [[0.1, 2.0, None, -3.0, 0.2, -0.1, 0.7, 1.5] * 15, [1.0, -2.0, 0.5, None, 0.0, 0.3, -0.9, 1.1] * 15],
    list("01101001" * 15),
)


def model_of(labels: list[str], algorithm: Algorithm = "logistic_regression", seed: int = 0) -> Any:
    source = np.random.default_rng(seed)
    data = file_of(feature1=source.normal(size=60).tolist(), feature2=source.normal(size=60).tolist(), target=labels)
    return load(fitting.train(task_for(data, algorithm), data)[1])


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_metrics_are_those_of_scikit_learn(algorithm: Algorithm) -> None:
    model = model_of(["0", "1", "0"] * 20, algorithm)
    rows = list(zip(*ROWS.columns, strict=True))
    answers, probabilities = model.predict(rows)[0], model.probabilities(rows)

    found = evaluation.evaluate(model, None, ROWS)

    assert found.metrics == {
        "accuracy": round(accuracy_score(ROWS.labels, answers), 6),
        "balanced_accuracy": round(balanced_accuracy_score(ROWS.labels, answers), 6),
        "f1": round(f1_score(ROWS.labels, answers, average="macro"), 6),
        "log_loss": round(log_loss(ROWS.labels, probabilities), 6),
        "majority": 0.5,
    }
    wrong = sum(answer != label for answer, label in zip(answers, ROWS.labels, strict=True))
    assert (found.holdout, found.champion, found.pairs) == (Holdout(120, wrong), {}, Pairs())


def test_pairs_say_who_was_right() -> None:
    challenger, champion = model_of(["0", "1"] * 30, seed=1), model_of(["0", "1"] * 30, "decision_tree", seed=4)
    rows = list(zip(*ROWS.columns, strict=True))
    new, old = challenger.predict(rows)[0], champion.predict(rows)[0]

    found = evaluation.evaluate(challenger, champion, ROWS)

    right = [(before == label, after == label) for before, after, label in zip(old, new, ROWS.labels, strict=True)]
    assert found.pairs == Pairs(
        both=right.count((True, True)),
        active_only=right.count((True, False)),
        other_only=right.count((False, True)),
        neither=right.count((False, False)),
    )
    assert found.pairs.active_only != found.pairs.other_only
    assert found.champion == evaluation.evaluate(champion, None, ROWS).metrics


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
def test_classes_that_one_of_them_does_not_know_are_wrong_answers_and_no_error() -> None:
    """The champion knows none of the rows' classes, the challenger all of them and one more."""
    challenger, champion = model_of(["0", "1", "2"] * 20), model_of(["old", "older"] * 30)
    found = evaluation.evaluate(challenger, champion, ROWS)
    assert found.champion["accuracy"] == found.champion["balanced_accuracy"] == found.champion["f1"] == 0
    assert found.champion["log_loss"] == pytest.approx(52 * np.log(2), abs=1e-6)
    assert (found.pairs.both, found.pairs.active_only) == (0, 0)
    assert found.pairs.other_only == 120 - found.holdout.wrong > 0


def test_a_champion_of_other_columns_is_refused() -> None:
    champion = model_of(["0", "1"] * 30)
    other = Fitted((Feature("feature1"), Feature("another")), champion.classes, champion.pipeline)
    with pytest.raises(ValueError, match="the version in use reads other columns"):
        evaluation.evaluate(champion, other, ROWS)


async def test_an_evaluation_has_a_process_of_its_own_too() -> None:
    task = task_for()
    artifact = fitting.train(task, DATA)[1]
    champion = fitting.train(task_for(algorithm="decision_tree"), DATA)[1]

    found = await evaluate(artifact, champion, task, DATA, timeout=60)

    assert found == evaluation.evaluate(load(artifact), load(champion), fitting.holdout(task, DATA))
    assert found.metrics["accuracy"] > 0.8 > found.metrics["majority"]
