"""Fitted models as files: the same training gives the same bytes, and reading one runs nothing that it brings along.

An artifact is a skops archive (a schema of objects and their arrays) with a `model.json` that names features and
classes. Whoever reads one checks every object against the list below before skops makes any of them.
"""

from __future__ import annotations

import json
from typing import Any, Final, Literal

import msgspec
import numpy as np
import skops.io
from msgspec import Struct
from sklearn.pipeline import Pipeline

from domain.pipeline import Feature
from models.learn import archives
from models.learn.fitted import Fitted
from models.learn.trees import check_trees
from models.serve.errors import ArtifactRefused

__all__ = ["ArtifactRefused", "Fitted", "dump", "load"]

_HEADER: Final = "model.json"
_PROTOCOL: Final = 2
"""Of skops: another one has other objects."""
_FOREST: Final = "sklearn.ensemble._forest.RandomForestClassifier"
_BOOSTING: Final = "sklearn.ensemble._hist_gradient_boosting"
_ALLOWED: Final = {
    "JsonNode": {"builtins.str"},
    "DictNode": {"builtins.dict"},
    "ListNode": {"builtins.list"},
    "TupleNode": {"builtins.tuple"},
    "SliceNode": {"builtins.slice"},
    "TypeNode": {"builtins.str", "numpy.float64"},
    "NdArrayNode": {"numpy.ndarray", "numpy.float64", "numpy.int64", "numpy.uint64"},
    "DTypeNode": {"numpy.dtype"},
    "RandomGeneratorNode": {"numpy.random._generator.Generator"},
    "TreeNode": {"sklearn.tree._tree.Tree"},
    "LossNode": {"sklearn._loss._loss.CyHalfBinomialLoss", "sklearn._loss._loss.CyHalfMultinomialLoss"},
    "ObjectNode": {
        "sklearn.pipeline.Pipeline",
        "sklearn.compose._column_transformer.ColumnTransformer",
        "sklearn.impute._base.SimpleImputer",
        "sklearn.preprocessing._data.StandardScaler",
        "sklearn.preprocessing._encoders.OneHotEncoder",
        "sklearn.preprocessing._label.LabelEncoder",
        "sklearn.feature_extraction.text.HashingVectorizer",
        "sklearn.feature_extraction.text.TfidfTransformer",
        "sklearn.linear_model._logistic.LogisticRegression",
        "sklearn.naive_bayes.GaussianNB",
        "sklearn.tree._classes.DecisionTreeClassifier",
        _FOREST,
        f"{_BOOSTING}.gradient_boosting.HistGradientBoostingClassifier",
        f"{_BOOSTING}.binning._BinMapper",
        f"{_BOOSTING}.predictor.TreePredictor",
        "sklearn._loss.loss.HalfBinomialLoss",
        "sklearn._loss.loss.HalfMultinomialLoss",
        "sklearn._loss.link.Interval",
        "sklearn._loss.link.LogitLink",
        "sklearn._loss.link.MultinomialLogit",
    },
}
"""The objects that the pipelines of `models.learn.pipelines` are made of, by what skops makes them with."""

_TRUSTED: Final = sorted({name for names in _ALLOWED.values() for name in names})


class _Header(Struct, frozen=True, forbid_unknown_fields=True):
    format: Literal[1]
    features: tuple[Feature, ...]
    classes: tuple[str, ...]


def dump(fitted: Fitted) -> bytes:
    header = _Header(1, fitted.features, fitted.classes)
    files = archives.canonical(skops.io.dumps(fitted.pipeline))
    return archives.write({_HEADER: msgspec.json.encode(header), **files})


def load(content: bytes) -> Fitted:
    """Raises ArtifactRefused. It takes some milliseconds; for a forest of 100 trees 200."""
    try:
        files = archives.read(content)
        schema = json.loads(files[archives.SCHEMA])
        header = msgspec.json.decode(files[_HEADER], type=_Header)
        if schema["protocol"] != _PROTOCOL:
            raise ValueError(f"protocol {schema['protocol']}")
        strange = _strange(schema)
    except Exception as error:  # what a made-up file does to parsers has no one type
        raise ArtifactRefused(f"this is no artifact: {error}") from error
    if strange:
        raise ArtifactRefused(f"it has what no model of ours is made of: {', '.join(strange)}")
    try:
        return _made(content, header)
    except Exception as error:
        raise ArtifactRefused(f"the artifact is damaged: {error}") from error


def _strange(schema: Any) -> list[str]:
    """The objects that are not on the list, and what refers to objects by number."""
    found = {
        f"{node.get('__module__')}.{node.get('__class__')} ({node.get('__loader__')})"
        for node in archives.nodes(schema)
        if f"{node.get('__module__')}.{node.get('__class__')}" not in _ALLOWED.get(str(node.get("__loader__")), set())
    }
    if any("__id__" in node for node in archives.nodes(schema)):
        found.add("a numbered object")
    return sorted(found)


def _made(content: bytes, header: _Header) -> Fitted:
    pipeline = skops.io.loads(content, trusted=_TRUSTED)
    if not isinstance(pipeline, Pipeline):
        raise ValueError("no pipeline")
    fitted = Fitted(header.features, header.classes, pipeline)
    if tuple(np.asarray(fitted.classifier.classes_).tolist()) != header.classes:
        raise ValueError("its classes are not those it names")
    check_trees(fitted.classifier, fitted.encoding.width, len(header.classes))
    with np.errstate(all="ignore"):
        found = fitted.probabilities([[None] * len(header.features)])
    if found.shape != (1, len(header.classes)) or not np.isfinite(found).all():
        raise ValueError("it does not answer")
    return fitted
