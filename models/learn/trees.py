"""Whether the trees of a model that was read from a file can be walked without leaving them.

scikit-learn follows the indices in a tree's nodes without looking: a made-up file could read any memory. A tree that
it fitted has every node after its parent.
"""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportPrivateUsage=false
# scikit-learn has no types

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.ensemble._hist_gradient_boosting.common import PREDICTOR_RECORD_DTYPE
from sklearn.tree import DecisionTreeClassifier

_LEAF: Final = -1


def check_trees(classifier: Any, columns: int, classes: int) -> None:
    """Raises ValueError. `columns` is how many its input has."""
    match classifier:
        case DecisionTreeClassifier(tree_=tree):
            _check_tree(tree, columns, classes)
        case RandomForestClassifier(estimators_=trees):
            if not trees:
                raise ValueError("a forest without trees")
            for each in trees:
                _check_tree(each.tree_, columns, classes)
        case HistGradientBoostingClassifier():
            if np.any(classifier._bin_mapper.is_categorical_):
                raise ValueError("categories are columns of their own here")
            for predictors in classifier._predictors:
                for predictor in predictors:
                    _check_predictor(predictor.nodes, columns)
        case _:
            pass


def _check_tree(tree: Any, columns: int, classes: int) -> None:
    # In this order: only a tree whose count is true can be looked at.
    if not 1 <= tree.node_count == tree.capacity or (tree.n_outputs, tree.max_n_classes) != (1, classes):
        raise ValueError("a tree is not as large as it says")
    inner = tree.children_left != _LEAF
    _check_walk(inner, tree.children_left, tree.children_right, tree.feature, columns)


def _check_predictor(nodes: Any, columns: int) -> None:
    if not isinstance(nodes, np.ndarray) or nodes.dtype != PREDICTOR_RECORD_DTYPE or nodes.ndim != 1 or not len(nodes):
        raise ValueError("a tree without nodes")
    if nodes["is_categorical"].any():
        raise ValueError("categories are columns of their own here")
    _check_walk(nodes["is_leaf"] == 0, nodes["left"], nodes["right"], nodes["feature_idx"], columns)


def _check_walk(
    inner: NDArray[np.bool_], left: NDArray[Any], right: NDArray[Any], feature: NDArray[Any], columns: int
) -> None:
    places = np.arange(len(inner))[inner]
    for children in (left[inner].astype(np.int64), right[inner].astype(np.int64)):
        if (children <= places).any() or (children >= len(inner)).any():
            raise ValueError("a tree whose nodes do not follow their parents")
    if ((feature[inner] < 0) | (feature[inner] >= columns)).any():
        raise ValueError("a tree that asks for columns which are not there")
