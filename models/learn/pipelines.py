"""From a pipeline as people describe it to scikit-learn's, and what is wrong with the description.

Numbers: missing ones become the median, then mean 0 and deviation 1. Categories: one column of zeros and ones for each
that was seen, all zeros for one that was not; missing is a category. Texts: the weights of their words and of parts
of these (`models.learn.texts`). Then the classifier.
"""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# scikit-learn has no types

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
import numpy as np
from msgspec import Meta
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline as FittedPipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from domain.pipeline import Algorithm, Feature, Parameter, Pipeline
from models.learn.texts import text_steps

NO_CATEGORY: Final = ""
"""What a missing category is called."""

_NONE: Final[Any] = None
_CLASSES: Final[dict[Algorithm, Any]] = {
    "logistic_regression": LogisticRegression,
    "decision_tree": DecisionTreeClassifier,
    "random_forest": RandomForestClassifier,
    "gradient_boosting": HistGradientBoostingClassifier,
    "naive_bayes": GaussianNB,
}
_DEFAULTS: Final[dict[Algorithm, dict[str, Parameter]]] = {
    "logistic_regression": {"max_iter": 1_000},  # 100 are not enough for many data sets
    "random_forest": {"n_jobs": 1},
}
SPARSE: Final[frozenset[Algorithm]] = frozenset({"logistic_regression", "decision_tree", "random_forest"})
"""Those that can leave out the words which a text does not have; the others need a number for each."""

_SEEDED: Final = frozenset(_CLASSES) - {"naive_bayes"}

_Share = Annotated[float, Meta(gt=0, le=1)]
_NotNegative = Annotated[float, Meta(ge=0, le=1e9)]
_Count = Annotated[int, Meta(ge=1, le=1_000_000)]
_Depth = Annotated[int, Meta(ge=1, le=1_000)] | None
_Leaves = Annotated[int, Meta(ge=2, le=1_000_000)] | None
_ToSplit = Annotated[int, Meta(ge=2, le=1_000_000)] | _Share
_InLeaf = _Count | Annotated[float, Meta(gt=0, lt=1)]
_Columns = Literal["sqrt", "log2"] | _Count | _Share | None
_Sample = _Share | None
_Balance = Literal["balanced"] | None
_TREE: Final[dict[str, Any]] = {
    "criterion": Literal["gini", "entropy", "log_loss"],
    "max_depth": _Depth,
    "min_samples_split": _ToSplit,
    "min_samples_leaf": _InLeaf,
    "min_weight_fraction_leaf": Annotated[float, Meta(ge=0, le=0.5)],
    "max_features": _Columns,
    "max_leaf_nodes": _Leaves,
    "min_impurity_decrease": _NotNegative,
    "ccp_alpha": _NotNegative,
}
_PARAMETERS: Final[dict[Algorithm, dict[str, Any]]] = {
    "logistic_regression": {
        "C": Annotated[float, Meta(gt=0, le=1e9)],
        "l1_ratio": Annotated[float, Meta(ge=0, le=1)],
        "dual": bool,
        "tol": _NotNegative,
        "fit_intercept": bool,
        "intercept_scaling": Annotated[float, Meta(gt=0, le=1e9)],
        "class_weight": _Balance,
        "solver": Literal["lbfgs", "liblinear", "newton-cg", "newton-cholesky", "sag", "saga"],
        "max_iter": Annotated[int, Meta(ge=1, le=100_000)],
    },
    "decision_tree": {**_TREE, "splitter": Literal["best", "random"], "class_weight": _Balance},
    "random_forest": {
        **_TREE,
        "n_estimators": Annotated[int, Meta(ge=1, le=1_000)],
        "bootstrap": bool,
        "max_samples": _Sample,
        "class_weight": Literal["balanced", "balanced_subsample"] | None,
    },
    "gradient_boosting": {
        "learning_rate": Annotated[float, Meta(gt=0, le=100)],
        "max_iter": Annotated[int, Meta(ge=1, le=5_000)],
        "max_leaf_nodes": _Leaves,
        "max_depth": _Depth,
        "min_samples_leaf": _Count,
        "l2_regularization": _NotNegative,
        "max_features": _Share,
        "max_bins": Annotated[int, Meta(ge=2, le=255)],
        "early_stopping": bool | Literal["auto"],
        "validation_fraction": Annotated[float, Meta(ge=0.1, le=0.5)],
        "n_iter_no_change": Annotated[int, Meta(ge=1, le=5_000)],
        "tol": _NotNegative,
        "class_weight": _Balance,
    },
    "naive_bayes": {"var_smoothing": _NotNegative},
}
"""Those that say how well a model learns, with bounds that keep one training from taking a machine. Not among them:
how it runs (threads, verbosity), the seed, and what takes a list."""

_COMBINED: Final = {"logistic_regression": {"max_iter": 1}, "random_forest": {"n_estimators": 1}}
"""The only ones with parameters that exclude each other, and the size to try that in."""


def build(pipeline: Pipeline, features: Sequence[Feature], seed: int) -> FittedPipeline:
    """Not fitted yet. It takes one column a feature, in their order: float64 when all are numbers, else objects
    (float, nan when missing; str, None when missing, or "" in a text)."""
    numbers = [position for position, feature in enumerate(features) if feature.type == "number"]
    categories = [position for position, feature in enumerate(features) if feature.type == "category"]
    texts = [position for position, feature in enumerate(features) if feature.type == "text"]
    classify = ("classify", _classifier(pipeline.algorithm, pipeline.parameters, seed))
    if not (categories or texts):
        return FittedPipeline([*_numeric_steps(), classify])
    each: list[tuple[str, FittedPipeline, Any]] = []
    if numbers:
        each.append(("numbers", FittedPipeline(_numeric_steps()), numbers))
    if categories:
        each.append(("categories", FittedPipeline(_categorical_steps()), categories))
    for position in texts:
        each += [(f"{name} {position}", FittedPipeline(steps), position) for name, steps in text_steps().items()]
    sparse = 1 if texts and pipeline.algorithm in SPARSE else 0
    steps: list[tuple[str, Any]] = [("columns", ColumnTransformer(each, sparse_threshold=sparse)), classify]
    return FittedPipeline(steps)


def _numeric_steps() -> list[tuple[str, Any]]:
    return [("impute", SimpleImputer(strategy="median", keep_empty_features=True)), ("scale", StandardScaler())]


def _categorical_steps() -> list[tuple[str, Any]]:
    imputer = SimpleImputer(missing_values=_NONE, strategy="constant", fill_value=NO_CATEGORY, keep_empty_features=True)
    return [("impute", imputer), ("encode", OneHotEncoder(handle_unknown="ignore", sparse_output=False))]


def _classifier(algorithm: Algorithm, parameters: Mapping[str, Parameter], seed: int) -> Any:
    given = {**_DEFAULTS.get(algorithm, {}), **parameters}
    return _CLASSES[algorithm](**given, **({"random_state": seed} if algorithm in _SEEDED else {}))


def faults(pipeline: Pipeline) -> list[str]:
    """Every parameter that is unknown or impossible; else what scikit-learn has against the combination, which is
    tried on a few rows (some milliseconds)."""
    known = _PARAMETERS[pipeline.algorithm]
    unknown = sorted(pipeline.parameters.keys() - known)
    found = [f"{', '.join(unknown)} cannot be chosen, but {', '.join(sorted(known))}"] if unknown else []
    found += [
        fault for name, value in pipeline.parameters.items() if name in known and (fault := _fault(name, value, known))
    ]
    return [f"{pipeline.algorithm}: {fault}" for fault in found or _combination(pipeline)]


def _fault(name: str, value: Parameter, known: Mapping[str, Any]) -> str | None:
    try:
        msgspec.convert(value, known[name])
    except msgspec.ValidationError as error:
        return f"{name}: {error}"
    return None


def _combination(pipeline: Pipeline) -> list[str]:
    if pipeline.algorithm not in _COMBINED:
        return []
    parameters = {**pipeline.parameters, **_COMBINED[pipeline.algorithm]}
    rows = np.linspace(-1, 1, 40).reshape(20, 2)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that one iteration does not converge is no news
            _classifier(pipeline.algorithm, parameters, 0).fit(rows, ["a", "b"] * 10)
    except (ValueError, TypeError, ArithmeticError) as error:
        return [str(error).splitlines()[0]]
    return []
