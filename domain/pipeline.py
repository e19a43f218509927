"""What a model is made of: its features, and the pipeline that is fitted to them."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

ColumnName = Annotated[str, Meta(min_length=1, max_length=200)]
ColumnType = Literal["number", "category", "text"]
"""Columns of data sets are of numbers or categories; a model may read one of categories as text: for its words."""

Value = float | str | None
"""Of a cell; None is a missing value."""

Algorithm = Literal["logistic_regression", "decision_tree", "random_forest", "gradient_boosting", "naive_bayes"]
Parameter = bool | int | float | str | None
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]


class Feature(Struct, frozen=True, forbid_unknown_fields=True):
    """A column that the model reads."""

    name: ColumnName
    type: ColumnType = "number"


class Pipeline(Struct, frozen=True, forbid_unknown_fields=True):
    """`parameters` are those of the algorithm's scikit-learn class; what is not given has that class's default."""

    algorithm: Algorithm = "logistic_regression"
    parameters: dict[Annotated[str, Meta(max_length=60)], Parameter] = {}
