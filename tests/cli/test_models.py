"""`sagacity models` and `sagacity datasets` on a whole platform: from a file to a model in production."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from sagacity.cli.connecting import ApiPlace, open_api
from sagacity.cli.model_files import in_file
from tests.cli.conftest import Ran, Sagacity
from tests.up import Up, running_platform

MODEL = {
    "name": "Two features",
    "features": [{"name": "feature1"}, {"name": "feature2"}],
    "target": "target",
    "pipeline": {"algorithm": "naive_bayes"},
    "policy": {"gate": {"by": "holdout"}, "monitoring": {"window": 50}},
}
PAIRS = {"feature1": 0.5, "feature2": 0.25}


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A platform with a dataset `made`, and a model `m` whose version 1 is in use."""
    with running_platform(tmp_path_factory.mktemp("models")) as up:
        with httpx.Client(base_url=f"{up.url}/api/v1", timeout=30) as api:
            made = api.post("/datasets/generate", json={"id": "made", "samples": 500, "seed": 7})
            assert made.status_code == 201, made.text
            for type, data in (("model.register", MODEL), ("model.retrain", {"dataset_id": "made"})):
                body = {"type": type, "stream": {"category": "model", "id": "m"}, "data": data}
                sent = api.post("/commands", json=body)
                assert sent.status_code == 201, sent.text
            until(lambda: api.get("/models/m").json().get("active_version") == "1")
        yield up


def until(true: Callable[[], bool], timeout: float = 60.0) -> None:
    deadline = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < deadline, "it does not come to that"
        time.sleep(0.1)


class Run:
    """The command line, pointed at the platform."""

    def __init__(self, sagacity: Sagacity, up: Up) -> None:
        self._sagacity = sagacity
        self.url = up.url

    def __call__(self, *arguments: object) -> Ran:
        return self._sagacity(*arguments, "--url", self.url)

    def json(self, *arguments: object) -> Any:
        ran = self(*arguments, "--json")
        assert ran.status == 0, ran
        return json.loads(ran.out)


@pytest.fixture
def run(sagacity: Sagacity, up: Up) -> Run:
    return Run(sagacity, up)


def write_csv(name: str, rows: list[dict[str, Any]]) -> Path:
    file = Path(name)
    with file.open("w", newline="") as lines:
        writer = csv.DictWriter(lines, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return file


def samples(run: Run, number: int) -> list[dict[str, Any]]:
    return [item["values"] for item in run.json("datasets", "samples", "made", "--limit", number)["items"]]


def monitor(run: Run) -> dict[str, Any]:
    """Of the model `m`; empty before anything was seen."""
    return run.json("models", "drift", "m")["monitor"] or {}


class TestDatasets:
    def test_are_uploaded_listed_and_shown(self, run: Run) -> None:
        file = write_csv("fruit.csv", [{"weight": 150, "name": "apple"}, {"weight": "", "name": "pear"}])
        first = run("datasets", "upload", file, "--id", "fruit", "--target", "name")
        assert first.status == 0, first
        assert first.text.startswith("dataset fruit: 2 samples, SHA-256 ")
        again = run.json("datasets", "upload", file, "--id", "fruit", "--target", "name")
        assert again["duplicate"] is True
        until(lambda: any(row["id"] == "fruit" for row in run.json("datasets", "list", "--source", "upload")))
        shown = run("datasets", "show", "fruit").text.splitlines()
        assert shown[0] == "fruit: fruit, 2 samples, by upload"
        assert shown[2:] == ["weight\tnumber\t1\t1\t150\t0", "name\tcategory\t0\t2\t\t"]
        assert run("datasets", "samples", "fruit").text == "row\tweight\tname\n1\t150\tapple\n2\t\tpear\n"

    def test_are_made_up_the_same_for_the_same_seed(self, run: Run) -> None:
        made = [run.json("datasets", "generate", "--samples", 20, "--seed", 3)["content"] for _ in range(2)]
        assert made[0] == made[1]

    @pytest.mark.parametrize(
        ("name", "content", "says"),
        [
            ("twice.csv", "a,a\n1\n", "has 1 cells, not 2"),
            ("fruit.txt", "a\n1\n", "fruit.txt: its name must end in one of .csv, .parquet, .ndjson, .jsonl"),
        ],
    )
    def test_what_is_wrong_with_a_file_is_one_line(self, run: Run, name: str, content: str, says: str) -> None:
        Path(name).write_text(content)
        called = run("datasets", "upload", name)
        assert (called.status, called.errors.count("\n")) == (2, 1)
        assert says in called.errors


class TestAModel:
    def test_is_registered_from_a_file_with_every_fault_named(self, run: Run) -> None:
        Path("wrong.json").write_text(json.dumps({"features": [], "target": "", "pipeline": {"algorithm": "magic"}}))
        called = run("models", "register", "wrong.json", "--id", "n")
        assert (called.status, called.errors.count("\n")) == (2, 1)
        for where in ("/data/features", "/data/target", "/data/pipeline/algorithm", "name"):
            assert where in called.errors
        Path("right.json").write_text(json.dumps(MODEL))
        assert run("models", "register", "right.json", "--id", "n").text.startswith("accepted: model/n, version 1")
        again = run("models", "register", "--id", "n", "right.json")
        assert (again.status, again.text.split(":")[1]) == (1, " model_already_registered")

    def test_is_listed_and_shown_with_its_versions(self, run: Run) -> None:
        listed = {row["id"]: row["active_version"] for row in run.json("models", "list")}
        assert listed["m"] == "1"
        shown = run("models", "show", "m").text.splitlines()
        assert shown[0] == "m: Two features; version 1 is in use"
        assert shown[1] == "naive_bayes of 'target' by feature1, feature2"
        assert shown[-1].startswith("1\tactive\t0.")

    def test_answers_for_one_row(self, run: Run) -> None:
        answer = run.json("models", "predict", "m", "--features", json.dumps(PAIRS))
        assert (answer["model"], answer["version"], answer["prediction"]) == ("m", "1", "1")
        assert run("models", "predict", "m", "--features", json.dumps(PAIRS)).text.startswith("1  (")

    def test_names_every_feature_that_is_missing_or_too_many(self, run: Run) -> None:
        called = run("models", "predict", "m", "--features", '{"feature1": "x", "feature3": 1}')
        assert (called.status, called.errors.count("\n")) == (2, 1)
        for feature in ("/features/feature1", "/features/feature2", "/features/feature3"):
            assert feature in called.errors

    def test_is_trained_again_and_followed_to_the_end(self, run: Run) -> None:
        """On the same rows no version is proven better, so it is discarded: exit status 1."""
        followed = run("models", "retrain", "m", "--dataset", "made", "--reason", "to see", "--follow")
        assert followed.status == 1, followed
        lines = [line[21:] for line in followed.text.splitlines()]
        assert lines[0] == "version 2 of m is asked for by command: to see"
        assert any(line.startswith("trained on 350 rows in ") for line in lines)
        assert lines[-1].startswith("discarded: ")
        told = run("models", "follow", "m-2", "--json")
        assert told.status == 1
        assert json.loads(told.text.splitlines()[-1])["type"] == "experiment.concluded"
        until(lambda: run.json("models", "experiments", "m")[0]["outcome"] == "discarded")
        assert run("models", "experiments", "m").text.splitlines()[1].startswith("m-2\tcommand\tdiscarded\t0.")

    def test_is_promoted_and_rolled_back_by_hand(self, run: Run) -> None:
        assert run("models", "promote", "m", "2", "--reason", "to see").status == 0
        assert run("models", "promote", "m", "9").text.startswith("refused: version_not_found")
        assert run("models", "rollback", "m").status == 0
        refused = run("models", "rollback", "m")
        assert (refused.status, refused.text.split(":")[1]) == (1, " nothing_to_roll_back_to")


class TestProduction:
    def test_answers_for_files_and_takes_labels(self, run: Run) -> None:
        rows = samples(run, 300)
        file = write_csv("rows.csv", rows)
        asked = run("models", "predict", "m", "--file", file, "--batch", 70, "--keep", "target", "--out", "answers.csv")
        assert (asked.status, asked.out, asked.errors) == (0, b"", "")
        with Path("answers.csv").open(newline="") as lines:
            answers = list(csv.DictReader(lines))
        assert list(answers[0]) == ["id", "prediction", "confidence", "target"]
        assert [answer["target"] for answer in answers] == [row["target"] for row in rows]
        wrong = sum(answer["prediction"] != answer["target"] for answer in answers)
        labelled = run("models", "label", "m", "--file", "answers.csv", "--id-column", "id", "--label-column", "target")
        assert labelled.text == (
            "300 labels are recorded, in 1 commands\n"
            "those without a prediction are counted as unmatched: see `sagacity models drift m`\n"
        ), labelled
        until(lambda: monitor(run).get("outcomes") == 300)
        shown = run("models", "drift", "m").text
        assert f"errors: {100 * wrong / 300:.1f} %; on the rows held out of its training: " in shown
        assert "; expected: 1,000\n" in shown
        metrics = run.json("models", "metrics", "m", "--metric", "error_rate")
        assert {row["environment"] for row in metrics} == {"production"}

    def test_answers_line_by_line_where_programs_read(self, run: Run) -> None:
        file = Path("rows.ndjson")
        file.write_text("".join(json.dumps(PAIRS) + "\n" for _ in range(3)))
        asked = run("models", "predict", "m", "--file", file, "--batch", 2, "--json")
        answers = [json.loads(line) for line in asked.text.splitlines()]
        assert [answer["prediction"] for answer in answers] == ["1"] * 3
        assert len({answer["id"] for answer in answers}) == 3

    @pytest.mark.parametrize("name", ["rows.csv", "rows.ndjson"])
    def test_one_bad_cell_is_named_by_its_row_before_anything_is_asked(self, run: Run, name: str) -> None:
        rows: list[dict[str, Any]] = [{**PAIRS, "feature2": "12,5" if row == 704 else row} for row in range(1, 1_001)]
        if name.endswith(".csv"):
            write_csv(name, rows)
        else:
            Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows))
        asked = run("models", "predict", "m", "--file", name, "--out", "answers.csv")
        says = f"sagacity: {name}: column 'feature2' must hold numbers; row 704: '12,5' is no number\n"
        assert (asked.status, asked.out, asked.errors) == (2, b"", says)
        assert not Path("answers.csv").exists()

    def test_labels_of_no_prediction_and_of_no_class_are_told(self, run: Run) -> None:
        before = monitor(run)
        file = write_csv("wrong.csv", [{"prediction": f"nobody.{row}", "label": "maybe"} for row in range(2)])
        labelled = run("models", "label", "m", "--file", file)
        assert (labelled.status, labelled.errors) == (
            0,
            "warning: version 1 knows no class 'maybe'; it knows '0', '1'\n",
        )
        unmatched = before.get("unmatched", 0) + 2
        until(lambda: monitor(run).get("unmatched") == unmatched)
        assert (
            f"warning: {unmatched} of {before.get('labels', 0) + 2} labels are unmatched: "
            in run("models", "drift", "m").text
        )

    def test_is_plotted(self, run: Run) -> None:
        plotted = run("models", "plot", "m", "--png", "m.png")
        assert plotted.status == 0, plotted
        assert "error rate of the latest 100 labelled predictions" in plotted.text
        assert "population stability index" in plotted.text
        assert "version 1 is promoted, by m-1" in plotted.text
        assert "\x1b" not in plotted.text
        assert Path("m.png").read_bytes().startswith(b"\x89PNG")


def test_trainings_are_exported_as_runs(run: Run, up: Up, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With their artifacts, which are read from the log's server; a second export finds the same runs."""
    arguments = ("models", "export", "m", "--mlflow", tmp_path / "runs", "--artifacts", "--data", up.home)
    refused = run(*arguments)
    says = f"sagacity: {tmp_path / 'runs'}: MLflow keeps runs in files only with MLFLOW_ALLOW_FILE_STORE=true set\n"
    assert (refused.status, refused.errors) == (2, says)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # as a server would keep them
    first, again = run.json(*arguments), run.json(*arguments)
    assert first == again
    assert (first[0]["experiment"], first[0]["outcome"]) == ("m-1", "promoted")
    assert list((tmp_path / "runs").rglob("m-1.skops"))


@pytest.mark.parametrize(("where", "place"), [("/instances/199/f", "rows.csv, row 400/f"), ("/model", "/model")])
def test_a_place_in_a_request_is_told_as_one_in_the_file(where: str, place: str) -> None:
    assert in_file(Path("rows.csv"), 200, where) == place


async def test_a_path_keeps_the_query_that_it_comes_with(up: Up) -> None:
    """So are the `next` links of pages followed."""
    async with open_api(ApiPlace(up.url, None, None)) as api:
        page = await api.get("/api/v1/events?limit=1")
        further = await api.get(page["_links"]["next"])
    assert [item["position"] for item in (*page["items"], *further["items"])] == [1, 2]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["models", "show", "nobody"], "nobody"),
        (["models", "predict", "nobody", "--features", "{}"], "nobody"),
        (["models", "drift", "nobody"], "nobody"),
        (["models", "follow", "nobody-1"], "nobody-1"),
        (["models", "plot", "nobody"], "nobody"),
        (["models", "label", "m", "--file", "none.csv"], "none.csv cannot be read"),
        (["models", "label", "m", "--file", "half.csv"], "half.csv, row 2: has no label"),
        (["models", "predict", "m", "--file", "half.csv"], "lacks the columns 'feature1', 'feature2'"),
        (["models", "predict", "m"], "give one row with --features, or many with --file"),
        (["models", "predict", "m", "--file", "semicolons.csv"], "(it seems to be separated by semicolons: "),
        (["models", "label", "m", "--file", "semicolons.csv"], "(it seems to be separated by semicolons: "),
        (["models", "register", "half.csv"], "half.csv: is no JSON"),
        (["models", "register"], "give the model as a FILE, or with --data"),
        (["models", "register", "--data", "{"], "--data: is no JSON"),
        (["models", "retrain", "m", "--pipeline", "{"], "--pipeline: is no JSON"),
        (["datasets", "show", "nobody"], "nobody"),
        (["datasets", "samples", "nobody"], "nobody"),
    ],
)
def test_what_cannot_be_done_is_one_line(run: Run, arguments: list[str], says: str) -> None:
    Path("half.csv").write_text("prediction,label\nb.0,1\nb.1,\n")
    Path("semicolons.csv").write_text("feature1;feature2\n1;2\n")
    called = run(*arguments)
    assert (called.status, called.out, called.errors.count("\n")) == (2, b"", 1)
    assert says in called.errors


COMMANDS = (
    *("list", "show", "register", "predict", "label", "retrain", "follow", "experiments", "promote", "rollback"),
    *("metrics", "drift", "plot", "export"),
)


@pytest.mark.parametrize(
    "command",
    [
        *(f"models {name}" for name in COMMANDS),
        *(f"datasets {name}" for name in ("list", "show", "upload", "generate", "samples")),
    ],
)
def test_every_command_explains_itself_with_an_example(sagacity: Sagacity, command: str) -> None:
    shown = sagacity(*command.split(), "--help")
    assert shown.status == 0
    assert "Example:" in shown.text
    assert f"sagacity {command}" in shown.text
