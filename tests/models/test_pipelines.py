"""Pipelines: what may be chosen, what becomes of missing, strange and absurd values, and that answers are exact."""

import random
from collections.abc import Iterator
from time import perf_counter
from typing import Any, get_args

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from domain.pipeline import Algorithm, Feature, Pipeline, Value
from models.learn import pipelines
from models.learn.encoding import table
from models.learn.fitted import Fitted

ALGORITHMS: tuple[Algorithm, ...] = get_args(Algorithm)
NUMBERS = (Feature("age"), Feature("income"))
MIXED = (Feature("city", "category"), Feature("age"), Feature("plan", "category"), Feature("income"))
CATEGORIES = (Feature("city", "category"), Feature("plan", "category"))
SMALL: dict[Algorithm, dict[str, Any]] = {"random_forest": {"n_estimators": 8}, "gradient_boosting": {"max_iter": 4}}
"""What is shown here does not depend on the size."""


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Threads that wait for each other make these tests slow on a machine that has other things to do."""
    with threadpool_limits(1):
        yield


def columns_of(features: tuple[Feature, ...], rows: int, seed: int) -> list[list[Value]]:
    """A tenth of the values is missing; some categories are numbers."""
    source = random.Random(seed)

    def value(feature: Feature) -> Value:
        if source.random() < 0.1:
            return None
        return source.gauss(40, 12) if feature.type == "number" else source.choice(["a", "b", "c", 4.0, ""])

    return [[value(feature) for _ in range(rows)] for feature in features]


def fitted(features: tuple[Feature, ...], algorithm: Algorithm = "logistic_regression", **parameters: Any) -> Fitted:
    columns = columns_of(features, 300, seed=1)
    source = random.Random(2)
    labels = np.array([source.choice(["no", "yes", "perhaps"]) for _ in range(300)])
    pipeline = pipelines.build(Pipeline(algorithm, {**SMALL.get(algorithm, {}), **parameters}), features, 5)
    pipeline.fit(table(columns, features), labels)
    return Fitted(features, ("no", "perhaps", "yes"), pipeline)


@pytest.mark.parametrize("features", [NUMBERS, MIXED, CATEGORIES], ids=["numbers", "mixed", "categories"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_answers_are_those_of_the_pipeline_to_the_last_bit(algorithm: Algorithm, features: tuple[Feature, ...]) -> None:
    model = fitted(features, algorithm)
    columns = columns_of(features, 200, seed=3)
    rows = list(zip(*columns, strict=True))

    expected = model.pipeline.predict_proba(table(columns, features))

    assert (model.probabilities(rows) == expected).all()
    labels, confidences = model.predict(rows)
    assert labels == [model.classes[place] for place in expected.argmax(axis=1)]
    assert confidences == expected.max(axis=1).round(6).tolist()


def test_a_row_has_the_same_answer_alone_and_among_others() -> None:
    for algorithm in ALGORITHMS:
        model = fitted(MIXED, algorithm)
        rows = list(zip(*columns_of(MIXED, 30, seed=4), strict=True))
        together = model.predict(rows)
        assert [model.predict([row])[0][0] for row in rows] == together[0]


def test_a_missing_number_is_the_median_and_a_missing_category_one_of_its_own() -> None:
    features = (Feature("x"), Feature("c", "category"))
    pipeline = pipelines.build(Pipeline("decision_tree"), features, 0)
    labels = ["low", "low", "low", "high", "high", "none", "none", "none"]
    columns: list[list[Value]] = [
        [1.0, 2.0, None, 8.0, 9.0, 3.0, 3.0, None],
        ["a", "a", "a", "a", "a", None, None, None],
    ]
    pipeline.fit(table(columns, features), np.array(labels))
    model = Fitted(features, ("high", "low", "none"), pipeline)

    assert model.predict([[1.0, None], [None, "a"], [3.0, "a"], [9.0, "a"]])[0] == ["none", "low", "low", "high"]
    assert model.predict([[None, "a"]]) == model.predict([[3.0, "a"]])
    assert model.predict([[1.0, ""]]) == model.predict([[1.0, None]])


def test_a_category_that_training_did_not_know_is_none_of_those_it_knew() -> None:
    model = fitted(CATEGORIES)
    encoded = model.encoding.encode([["never seen", "a"], ["b", "a"]])
    assert encoded.sum(axis=1).tolist() == [1.0, 2.0]


def test_a_number_as_a_category_is_written_briefly() -> None:
    model = fitted(CATEGORIES)
    assert (model.encoding.encode([[4.0, "a"]]) == model.encoding.encode([["4", "a"]])).all()


@pytest.mark.parametrize("absurd", [float("nan"), float("inf"), -float("inf"), 1e308, -1e308, 1e-320])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_an_absurd_number_has_an_answer_and_leaves_the_row_beside_it_alone(algorithm: Algorithm, absurd: float) -> None:
    model = fitted(NUMBERS, algorithm)
    found = model.probabilities([[absurd, absurd], [41.0, 39.0]])
    assert np.isfinite(found).all()
    assert found[1] == pytest.approx(model.probabilities([[41.0, 39.0]])[0], abs=1e-12)


def test_text_where_a_number_belongs_is_refused() -> None:
    for features in (NUMBERS, MIXED):
        with pytest.raises(ValueError, match="could not convert"):
            fitted(features).predict([["forty"] * len(features)])


def test_no_rows_have_no_answers() -> None:
    assert fitted(NUMBERS).predict([]) == ([], [])


def test_a_column_without_any_value_does_no_harm() -> None:
    pipeline = pipelines.build(Pipeline(), NUMBERS, 0)
    columns: list[list[Value]] = [[None] * 10, [float(number) for number in range(10)]]
    pipeline.fit(table(columns, NUMBERS), np.array(["a"] * 5 + ["b"] * 5))
    model = Fitted(NUMBERS, ("a", "b"), pipeline)
    assert model.predict([[None, 0.0], [123.0, 9.0]])[0] == ["a", "b"]


def test_a_batch_of_64_rows_takes_well_under_a_millisecond() -> None:
    """Of a logistic regression on numbers; the best of many tries, since the machine does other things too."""
    model = fitted(NUMBERS)
    rows = list(zip(*columns_of(NUMBERS, 64, seed=6), strict=True))
    assert min(_seconds(lambda: model.predict(rows)) for _ in range(200)) < 0.000_8


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_is_not_chosen_has_a_default_without_faults(algorithm: Algorithm) -> None:
    assert pipelines.faults(Pipeline(algorithm)) == []


@pytest.mark.parametrize(
    "pipeline",
    [
        Pipeline("logistic_regression", {"C": 1, "solver": "saga", "l1_ratio": 0.5, "class_weight": "balanced"}),
        Pipeline("decision_tree", {"max_depth": 6, "min_samples_leaf": 0.01, "max_features": "sqrt"}),
        Pipeline("random_forest", {"n_estimators": 1_000, "max_depth": None, "max_samples": 0.5}),
        Pipeline("gradient_boosting", {"max_iter": 5_000, "learning_rate": 0.05, "early_stopping": "auto"}),
        Pipeline("naive_bayes", {"var_smoothing": 1e-8}),
    ],
    ids=lambda pipeline: pipeline.algorithm,
)
def test_usual_choices_have_no_faults(pipeline: Pipeline) -> None:
    assert pipelines.faults(pipeline) == []


def test_all_faults_are_named_at_once() -> None:
    found = pipelines.faults(
        Pipeline("random_forest", {"n_estimators": 10**9, "max_depth": 0, "criterion": "luck", "trees": 3, "n_jobs": 8})
    )
    assert [fault.split(":")[:2] for fault in found][1:] == [
        ["random_forest", " n_estimators"],
        ["random_forest", " max_depth"],
        ["random_forest", " criterion"],
    ]
    assert found[0].startswith("random_forest: n_jobs, trees cannot be chosen, but bootstrap, ccp_alpha")


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"max_iter": True}, "max_iter: Expected `int`, got `bool`"),
        ({"C": 0}, "C: Expected `float` > 0.0"),
        ({"C": float("inf")}, "C: Expected `float` <= 1000000000.0"),
        ({"C": float("nan")}, "C: "),
        ({"solver": None}, "solver: Expected `str`, got `null`"),
        ({"random_state": 1}, "random_state cannot be chosen"),
        ({"solver": "lbfgs", "l1_ratio": 1.0}, "lbfgs supports only 'l2'"),
    ],
)
def test_what_is_impossible_is_said(parameters: dict[str, Any], reason: str) -> None:
    (fault,) = pipelines.faults(Pipeline("logistic_regression", parameters))
    assert reason in fault


@pytest.mark.filterwarnings("ignore")  # one iteration does not converge, one row is few
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_bound_is_one_that_scikit_learn_accepts(algorithm: Algorithm) -> None:
    """A choice that was accepted must not fail hours later in the training: the smallest and the default fit."""
    smallest: dict[Algorithm, dict[str, Any]] = {
        "logistic_regression": {"C": 1e-9, "l1_ratio": 0, "tol": 0, "max_iter": 1, "intercept_scaling": 1e-9},
        "decision_tree": {
            "max_depth": 1, "min_samples_split": 1e-9, "min_samples_leaf": 1e-9, "min_weight_fraction_leaf": 0,
            "max_features": 1e-9, "max_leaf_nodes": 2, "min_impurity_decrease": 0, "ccp_alpha": 0,
        },
        "random_forest": {"n_estimators": 1, "max_samples": 1e-9, "max_features": 1, "min_samples_split": 1.0},
        "gradient_boosting": {
            "learning_rate": 1e-9, "max_iter": 1, "max_leaf_nodes": 2, "max_depth": 1, "max_bins": 2,
            "max_features": 1e-9, "n_iter_no_change": 1, "early_stopping": True, "validation_fraction": 0.1, "tol": 0,
        },
        "naive_bayes": {"var_smoothing": 0},
    }  # fmt: skip
    assert pipelines.faults(Pipeline(algorithm, smallest[algorithm])) == []
    assert fitted(NUMBERS, algorithm, **smallest[algorithm]).predict([[1.0, 2.0]])[0][0] in {"no", "yes", "perhaps"}


def test_looking_for_faults_is_quick_enough_for_a_request() -> None:
    for algorithm in ALGORITHMS:
        pipeline = Pipeline(algorithm)
        assert min(_seconds(lambda pipeline=pipeline: pipelines.faults(pipeline)) for _ in range(5)) < 0.05


def _seconds(call: Any) -> float:
    begun = perf_counter()
    call()
    return perf_counter() - begun
