"""Artifacts: the same model is the same bytes, what was read answers as what was written, and nothing else is read."""

import io
import json
import pickle
import random
import zipfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import skops.io
from sklearn.cluster import KMeans
from sklearn.pipeline import Pipeline as FittedPipeline
from sklearn.preprocessing import FunctionTransformer
from threadpoolctl import threadpool_limits

from domain.pipeline import Algorithm, Feature, Pipeline, Value
from models.learn import archives, pipelines
from models.learn.artifacts import ArtifactRefused, Fitted, dump, load
from models.learn.encoding import table

ALGORITHMS: tuple[Algorithm, ...] = get_args(Algorithm)
FEATURES = (Feature("x"), Feature("c", "category"))
SIZES: dict[Algorithm, dict[str, Any]] = {"random_forest": {"n_estimators": 5}, "gradient_boosting": {"max_iter": 3}}
ROWS: list[list[Value]] = [[0.3, "a"], [None, "b"], [-2.0, None], [9.0, "unknown"]]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Threads that wait for each other make these tests slow on a machine that has other things to do."""
    with threadpool_limits(1):
        yield


@cache
def fitted(algorithm: Algorithm, classes: int = 2) -> Fitted:
    source = random.Random(1)
    x: list[Value] = [source.gauss(0, 1) for _ in range(200)]
    c: list[Value] = [source.choice(["a", "b", None]) for _ in range(200)]
    labels = np.array([f"class {min(int(abs(value) * 2), classes - 1)}" for value in x if isinstance(value, float)])
    pipeline = pipelines.build(Pipeline(algorithm, SIZES.get(algorithm, {})), FEATURES, 5)
    pipeline.fit(table([x, c], FEATURES), labels)
    return Fitted(FEATURES, tuple(sorted(set(labels.tolist()))), pipeline)


def forged(algorithm: Algorithm, change: Callable[[dict[str, bytes]], None]) -> bytes:
    """A well-formed archive, sums and all, with other files in it."""
    files = archives.read(dump(fitted(algorithm)))
    change(files)
    return archives.write(files)


def with_schema(change: Callable[[Any], None]) -> bytes:
    def replace(files: dict[str, bytes]) -> None:
        schema = json.loads(files["schema.json"])
        change(schema)
        files["schema.json"] = json.dumps(schema).encode()

    return forged("logistic_regression", replace)


def with_nodes(algorithm: Algorithm, change: Callable[[Any], None]) -> bytes:
    """The nodes of its trees are changed."""

    def replace(files: dict[str, bytes]) -> None:
        for name in [name for name in files if name.endswith(".npy")]:
            array = np.load(io.BytesIO(files[name]))
            if array.dtype.names and len(array) > 1:
                change(array)
                buffer = io.BytesIO()
                np.save(buffer, array)
                files[name] = buffer.getvalue()

    return forged(algorithm, replace)


def refusal(content: bytes) -> str:
    with pytest.raises(ArtifactRefused) as caught:
        load(content)
    return str(caught.value)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_was_read_answers_as_what_was_written_and_is_written_alike(algorithm: Algorithm, classes: int) -> None:
    model = fitted(algorithm, classes)
    content = dump(model)
    read = load(content)

    assert (read.features, read.classes) == (model.features, model.classes)
    assert (read.probabilities(ROWS) == model.probabilities(ROWS)).all()
    assert dump(model) == content == dump(read)


@pytest.mark.filterwarnings("ignore")  # few iterations do not converge
@pytest.mark.parametrize(
    "chosen",
    [
        Pipeline("gradient_boosting", {"early_stopping": True, "max_iter": 8, "class_weight": "balanced"}),
        Pipeline("gradient_boosting", {"max_features": 0.5, "max_iter": 2, "max_bins": 10, "max_depth": 3}),
        Pipeline("random_forest", {"n_estimators": 2, "class_weight": "balanced_subsample", "max_samples": 0.5}),
        Pipeline("random_forest", {"n_estimators": 2, "bootstrap": False, "ccp_alpha": 0.01, "max_leaf_nodes": 4}),
        Pipeline("decision_tree", {"splitter": "random", "class_weight": "balanced", "criterion": "entropy"}),
        Pipeline("logistic_regression", {"solver": "saga", "l1_ratio": 0.5, "max_iter": 9}),
        Pipeline("logistic_regression", {"solver": "liblinear", "dual": True, "class_weight": "balanced"}),
        Pipeline("logistic_regression", {"solver": "newton-cholesky", "fit_intercept": False}),
    ],
)
def test_whatever_was_chosen_can_be_read(chosen: Pipeline) -> None:
    source = random.Random(1)
    x: list[Value] = [source.gauss(0, 1) for _ in range(200)]
    labels = np.array(["high" if isinstance(value, float) and value > 0 else "low" for value in x])
    pipeline = pipelines.build(chosen, FEATURES[:1], 5).fit(table([x], FEATURES[:1]), labels)
    model = Fitted(FEATURES[:1], ("high", "low"), pipeline)
    assert (load(dump(model)).probabilities([[0.5], [None]]) == model.probabilities([[0.5], [None]])).all()


def test_what_lies_between_the_fields_of_a_tree_is_not_written() -> None:
    """Nobody sets that memory: it differs from process to process."""
    before = dump(fitted("decision_tree"))
    tree = fitted("decision_tree").classifier.tree_
    nodes = tree.__getstate__()["nodes"].view(np.uint8).reshape(tree.node_count, -1)
    nodes[:, 57:] ^= 0xFF
    assert dump(fitted("decision_tree")) == before


def test_another_model_has_other_bytes() -> None:
    assert len({dump(fitted(algorithm, classes)) for algorithm in ALGORITHMS for classes in (2, 3)}) == 10


class Pickled:
    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> Any:
        return Path.touch, (self.witness,)


def test_a_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    content = pickle.dumps(Pickled(tmp_path / "run"))
    assert refusal(content).startswith("this is no artifact: ")
    assert not (tmp_path / "run").exists()
    pickle.loads(content)
    assert (tmp_path / "run").exists(), "the pickle would have done something"


def test_a_pickle_inside_an_archive_is_refused_and_not_run(tmp_path: Path) -> None:
    array = np.empty(1, dtype=object)
    array[0] = Pickled(tmp_path / "run")
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)

    def replace(files: dict[str, bytes]) -> None:
        files[min(name for name in files if name.endswith(".npy"))] = buffer.getvalue()

    assert "is no array of numbers or text" in refusal(forged("logistic_regression", replace))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("node", "named"),
    [
        ({"__loader__": "FunctionNode", "__module__": "os", "__class__": "system"}, "os.system (FunctionNode)"),
        ({"__loader__": "TypeNode", "__module__": "subprocess", "__class__": "Popen"}, "subprocess.Popen (TypeNode)"),
        (
            {"__loader__": "ObjectNode", "__module__": "somebodys.module", "__class__": "Estimator"},
            "somebodys.module.Estimator (ObjectNode)",
        ),
        # On the list, but made in another way.
        ({"__loader__": "TypeNode", "__module__": "sklearn.pipeline", "__class__": "Pipeline"}, "Pipeline (TypeNode)"),
        ({"__loader__": "OperatorFuncNode", "__module__": "operator", "__class__": "methodcaller"}, "methodcaller"),
        ({"__loader__": "CachedNode", "__module__": "builtins", "__class__": "str", "__id__": 1}, "a numbered object"),
        ({"__loader__": {"a": 1}, "__module__": ["os"], "__class__": None}, "['os'].None"),
    ],
)
def test_objects_that_are_not_on_the_list_are_named(node: dict[str, Any], named: str) -> None:
    content = with_schema(lambda schema: schema["content"]["content"].update(verbose=node))
    assert named in refusal(content)


@pytest.mark.parametrize(
    "step", [FunctionTransformer(np.exp), KMeans(2)], ids=["a function of NumPy's", "another estimator"]
)
def test_what_skops_itself_would_trust_is_refused_too(step: Any) -> None:
    files = archives.canonical(skops.io.dumps(FittedPipeline([("only", step)])))
    header = archives.read(dump(fitted("naive_bayes")))["model.json"]
    assert "no model of ours is made of" in refusal(archives.write({**files, "model.json": header}))


def test_what_is_no_pipeline_is_refused() -> None:
    files = archives.canonical(skops.io.dumps({"a": [1, 2]}))
    header = archives.read(dump(fitted("naive_bayes")))["model.json"]
    assert refusal(archives.write({**files, "model.json": header})) == "the artifact is damaged: no pipeline"


def test_an_older_protocol_of_skops_is_refused() -> None:
    """Its objects are made by other code."""
    assert "protocol 0" in refusal(with_schema(lambda schema: schema.update(protocol=0)))


@pytest.mark.parametrize("kept", [0, 1, 4, 100, 0.5, 0.99])
def test_half_a_file_is_refused(kept: float) -> None:
    content = dump(fitted("naive_bayes"))
    assert refusal(content[: int(len(content) * kept) if isinstance(kept, float) else kept])


def test_a_zip_bomb_is_refused_before_it_is_unpacked() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", b" " * 50_000_000)
    assert "compressed" in refusal(buffer.getvalue())


def test_files_that_share_their_bytes_are_refused() -> None:
    content = bytearray(archives.write({"a.json": b" " * 5_000, "b.json": b"x"}))
    with zipfile.ZipFile(io.BytesIO(bytes(content))) as archive:
        directory = archive.start_dir
    second = content.index(b"PK\x01\x02", directory + 4)
    content[second + 42 : second + 46] = bytes(4)  # where b.json begins
    content[second + 20 : second + 28] = content[directory + 20 : directory + 28]  # its sizes
    assert refusal(bytes(content)).startswith("this is no artifact: ")


def test_two_files_of_one_name_are_refused() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("schema.json", "{}")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("schema.json", "[]")
    assert "two files have one name" in refusal(buffer.getvalue())


def test_an_array_that_claims_more_than_it_holds_is_refused_before_there_is_room_for_it() -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (10**11,)})

    def replace(files: dict[str, bytes]) -> None:
        files[min(name for name in files if name.endswith(".npy"))] = header.getvalue() + bytes(8)

    assert "is not as long as it says" in refusal(forged("logistic_regression", replace))


@pytest.mark.parametrize("text", [b"[" * 200_000, b'{"protocol": 2, "a": ' * 50_000, b"null", b"{}", b"\xff", b""])
def test_a_schema_that_is_none_is_refused(text: bytes) -> None:
    assert refusal(forged("naive_bayes", lambda files: files.update({"schema.json": text})))


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("classes", ["class 0", "class 7"], "its classes are not those it names"),
        ("features", [{"name": "x"}], "there are 0 categorical features and categories of 1"),
        ("features", [{"name": "x"}, {"name": "y"}], "there are 2 numeric features"),
        ("format", 2, "Invalid enum value 2"),
    ],
)
def test_a_header_of_another_model_is_refused(field: str, value: Any, reason: str) -> None:
    def replace(files: dict[str, bytes]) -> None:
        files["model.json"] = json.dumps({**json.loads(files["model.json"]), field: value}).encode()

    assert reason in refusal(forged("logistic_regression", replace))


def set_field(name: str, value: int) -> Callable[[Any], None]:
    """In the first node, which is never a leaf here."""

    def change(nodes: Any) -> None:
        nodes[name][0] = value

    return change


@pytest.mark.parametrize(
    ("algorithm", "field", "value"),
    [
        ("decision_tree", "left_child", 0),
        ("decision_tree", "left_child", 10**12),
        ("decision_tree", "right_child", -5),
        ("decision_tree", "feature", 4_000_000),
        ("decision_tree", "feature", -3),
        ("random_forest", "right_child", 10**6),
        ("random_forest", "feature", 99),
        ("gradient_boosting", "left", 0),
        ("gradient_boosting", "right", 2**31),
        ("gradient_boosting", "feature_idx", 12_345_678),
        ("gradient_boosting", "is_categorical", 1),
    ],
)
def test_a_tree_that_leads_out_of_itself_is_refused(algorithm: Algorithm, field: str, value: int) -> None:
    """scikit-learn would follow it, to wherever in memory."""
    assert refusal(with_nodes(algorithm, set_field(field, value))).startswith("the artifact is damaged: ")


@pytest.mark.parametrize("count", [0, 1, -1])
def test_a_tree_that_lies_about_its_size_is_refused(count: int) -> None:
    def replace(files: dict[str, bytes]) -> None:
        schema = json.loads(files["schema.json"])
        for node in archives.nodes(schema):
            if node["__loader__"] == "TreeNode":
                node["content"]["content"]["node_count"]["content"] = str(count)
        files["schema.json"] = json.dumps(schema).encode()

    assert refusal(forged("decision_tree", replace)) == "the artifact is damaged: a tree is not as large as it says"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_files_with_random_faults_are_refused_or_answer(algorithm: Algorithm) -> None:
    """Never another error, and never the end of the process."""
    source = random.Random(7)
    files = archives.read(dump(fitted(algorithm)))
    answered = 0
    for _ in range(60):
        name = source.choice(sorted(files))
        changed = bytearray(files[name])
        for _ in range(source.choice([1, 1, 4])):
            changed[source.randrange(len(changed))] = source.randrange(256)
        try:
            model = load(archives.write({**files, name: bytes(changed)}))
        except ArtifactRefused:
            continue
        labels, confidences = model.predict(ROWS)
        assert set(labels) <= set(model.classes)
        assert len(confidences) == len(ROWS)
        answered += 1
    assert answered < 60
