"""Review of code: what is planted is found, with its place; what is fine is not; none of the code is run."""

import pytest

from skills.offline.code_intelligence import code_intelligence
from skills.offline.code_review import code_review
from skills.offline.judge_findings import judge_findings
from skills.offline.list_files import list_files
from skills.offline.merge_findings import merge_findings
from tests.skills.asking import ask, context, refused

PLANTED = '''\
"""Orders."""

import subprocess
import os

PASSWORD = "correct-horse-battery"


def total(prices, seen=[]):
    """Adds up."""
    try:
        return eval(prices)
    except Exception:
        return 0


def run(command):
    """Runs it."""
    squares = []
    for each in range(10):
        squares.append(each * each)
    return subprocess.run(command, shell=True)
'''
CLEAN = '"""Sums."""\n\n\ndef total(prices: list[float]) -> float:\n    """Of all prices."""\n    return sum(prices)\n'


@pytest.fixture
def place(tmp_path):
    def written(**files):
        for name, text in files.items():
            (tmp_path / f"{name}.py").write_text(text)
        return str(tmp_path)

    return written


def found(review, *names):
    return {tuple(each[name] for name in names or ("rule", "line", "severity")) for each in review["findings"]}


def test_what_is_planted_is_found_with_line_and_severity_and_nothing_is_in_clean_code(place):
    review = ask(code_review, path=place(planted=PLANTED, clean=CLEAN))
    assert found(review) >= {
        ("S307", 12, "high"),
        ("B602", 22, "high"),
        ("B006", 9, "medium"),
        ("BLE001", 13, "medium"),
        ("F401", 4, "low"),
        ("PERF401", 21, "low"),
    }
    assert found(review, "file") == {("planted.py",)}
    assert review["reviewed"] == ["clean.py", "planted.py"]
    counts, every = review["summary"]["findings"], review["findings"]
    assert sum(counts.values()) == len(every)
    assert [each["severity"] for each in every] == sorted(
        (each["severity"] for each in every), key="high medium low".index
    )


def test_a_score_is_100_for_nothing_found_and_falls_with_what_is(place):
    assert ask(code_review, source=CLEAN)["summary"]["score"] == 100
    light = ask(code_review, source=CLEAN + "\n\nimport os\n")["summary"]["score"]
    assert 100 > light > ask(code_review, source=PLANTED)["summary"]["score"] > 0


@pytest.mark.parametrize(
    ("focus", "there", "not_there"),
    [("security", "B602", "PERF401"), ("performance", "PERF401", "B602"), ("best_practices", "B006", "B602")],
)
def test_only_what_is_in_focus_is_looked_for(focus, there, not_there):
    rules = {rule for (rule,) in found(ask(code_review, source=PLANTED, focus=[focus]), "rule")}
    assert there in rules
    assert not_there not in rules


def test_a_password_in_the_code_is_found_but_not_told():
    review = ask(code_review, source=PLANTED, focus=["security"])
    assert (6,) in found(review, "line")
    assert "correct-horse" not in str(review)


def test_a_syntax_error_is_a_finding_and_the_other_files_are_reviewed(place):
    review = ask(code_review, path=place(broken="def f(:\n", planted=PLANTED))
    assert ("broken.py", "invalid-syntax", "high") in found(review, "file", "rule", "severity")
    assert [each["file"] for each in review["metrics"]] == ["planted.py"]


@pytest.mark.parametrize(
    "content", [b"x = '\0'\n", "x = 'é'\n".encode("latin-1"), b"(" * 5_000, b"x = " + b"-" * 20_000 + b"1\n"]
)
def test_a_file_that_no_parser_takes_is_a_finding(tmp_path, content):
    (tmp_path / "odd.py").write_bytes(content)
    (tmp_path / "planted.py").write_text(PLANTED)
    review = ask(code_review, path=str(tmp_path))
    assert review["reviewed"] == ["odd.py", "planted.py"]
    assert ("odd.py", 1) in found(review, "file", "line")
    assert ("planted.py", "B602") in found(review, "file", "rule")


def test_metrics_are_counted_by_function():
    source = (
        "def flat(a, b, *, c):\n    return a\n\n\n"
        "class Box:\n    @staticmethod\n    def deep(x, y):\n"
        "        for each in x:\n            if each:\n                while y:\n                    y -= 1\n"
        "            elif y:\n                pass\n        return x and y\n"
    )
    review = ask(code_review, source=source, thresholds={"complexity": 5, "nesting": 2, "parameters": 2, "lines": 5})
    [metrics] = review["metrics"]
    assert (metrics["functions"], metrics["complexity_most"], metrics["most_complex"]) == (2, 6, "Box.deep")
    assert metrics["complexity_mean"] == 3.5
    assert found(review) & {(r, n, s) for r in TOO_MUCH for n in range(20) for s in ("low", "medium")} == {
        ("complex-function", 7, "low"),
        ("deep-nesting", 7, "low"),
        ("long-function", 7, "low"),
        ("many-parameters", 1, "low"),
        ("no-docstring", 1, "low"),
        ("no-docstring", 7, "low"),
    }


TOO_MUCH = ("complex-function", "deep-nesting", "long-function", "many-parameters", "no-docstring")


def test_a_configuration_beside_the_code_silences_nothing_and_comments_do_only_if_they_may(tmp_path, place):
    (tmp_path / "ruff.toml").write_text('[lint]\nignore = ["ALL"]\n')
    (tmp_path / ".gitignore").write_text("*\n")
    (tmp_path / ".bandit").write_text("[bandit]\nskips: B602,B307\n")
    path = place(quiet="import os  # noqa: F401\n\nresult = eval(os.name)  # noqa # nosec\n")
    assert not {("S307",), ("B307",)} & found(ask(code_review, path=path, focus=["security"]), "rule")
    loud = found(ask(code_review, path=path, suppressions=False), "rule")
    assert {("S307",)} <= loud


def test_none_of_the_code_is_run(tmp_path, place):
    marker = tmp_path / "was-run"
    path = place(evil=f"open({str(marker)!r}, 'w')\n", conftest=f"open({str(marker)!r}, 'w')\n")
    ask(code_review, path=path)
    ask(code_intelligence, path=path)
    assert not marker.exists()


def test_only_what_is_granted_is_read_whatever_stands_there(tmp_path, place):
    inside, outside = tmp_path / "inside", tmp_path / "outside.py"
    inside.mkdir()
    outside.write_text(PLANTED)
    (inside / "link.py").symlink_to(outside)
    (inside / "own.py").write_text(CLEAN)
    within = context(read=(str(inside),))
    assert ask(code_review, within, path=str(inside))["reviewed"] == ["own.py"]
    for path in (outside, inside / "link.py", inside / ".." / "outside.py", tmp_path / "not-there"):
        assert "is not among what may be read" in refused(code_review, within, path=str(path))
    assert "no files of" in refused(code_review, within, path=str(inside), files=["../outside.py", "link.py"])


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"source": "x", "language": "javascript"}, "javascript is not reviewed here, only python"),
        ({}, "either path or source"),
        ({"path": "README.md"}, "README.md is none of .py, .pyi"),
        ({"path": "/no/such/place"}, "there is nothing at /no/such/place"),
        ({"path": "/dev/null"}, "neither a file nor a directory"),
    ],
)
def test_what_it_cannot_do_it_says(given, reason):
    assert reason in refused(code_review, **given)


def test_intelligence_tells_bugs_from_what_could_be_better_and_says_what_to_do(place):
    analysed = ask(code_intelligence, path=place(planted=PLANTED), thresholds={"lines": 4})
    every = {(each["rule"], each["kind"]) for each in analysed["findings"]}
    assert every >= {("B006", "bug"), ("BLE001", "bug"), ("F401", "refactoring"), ("long-function", "refactoring")}
    assert all(each["suggestion"] for each in analysed["findings"])
    assert [each["name"] for each in analysed["definitions"]] == ["total", "run"]


BODY = """
    {a} = 0
    for {b} in {c}:
        if {b} > {limit}:
            {a} += {b}
        else:
            {a} -= 1
    print({a})
    return {a}
"""


def test_blocks_that_differ_only_in_names_and_constants_are_duplicates_and_others_are_not(place):
    one = "def first(values):" + BODY.format(a="sum", b="value", c="values", limit=3)
    two = "def second(rows):\n    '''Says so.'''" + BODY.format(a="total", b="row", c="rows", limit=99)
    other = "def third(rows, more):" + BODY.format(a="total", b="row", c="more", limit=99).replace(">", "<")
    analysed = ask(code_intelligence, path=place(one=one, two=two, other=other))
    [duplicate] = analysed["duplicates"]
    assert [(each["file"], each["line"], each["lines"]) for each in duplicate["blocks"]] == [
        ("one.py", 2, 8),
        ("two.py", 3, 8),
    ]
    assert not ask(code_intelligence, path=place(), block_lines=9)["duplicates"]


def test_a_repository_is_reviewed_in_parts_merged_and_accepted_and_not_where_a_part_is_missing(place):
    listing = ask(list_files, path=place(a=PLANTED, b=CLEAN, c=PLANTED), files_per_item=1)
    assert [item["files"] for item in listing["tasks"]] == [["a.py"], ["b.py"], ["c.py"]]
    reviews = [ask(code_review, path=item["path"], files=item["files"]) for item in listing["tasks"]]
    whole = ask(code_review, path=listing["tasks"][0]["path"])

    merged = ask(merge_findings, parts=[*reviews, reviews[0]])
    assert merged["findings"] == whole["findings"]
    assert (merged["duplicates"], merged["missing"]) == (len(reviews[0]["findings"]), 0)
    assert merged["counts"] == whole["summary"]["findings"]
    judged = ask(judge_findings, findings=merged["findings"], reviewed=merged["reviewed"], listed=listing["files"])
    assert (judged["accepted"], judged["remarks"]) == (True, [])

    partial = ask(merge_findings, parts=[reviews[0], None, reviews[2]])
    assert partial["missing"] == 1
    judged = ask(judge_findings, findings=partial["findings"], reviewed=partial["reviewed"], listed=listing["files"])
    assert (judged["accepted"], judged["remarks"]) == (False, ["1 of 3 files were not reviewed: b.py"])
    assert judged["covered"] == pytest.approx(2 / 3, abs=1e-4)


GOOD = {"file": "a.py", "line": 3, "rule": "F401", "severity": "low", "message": "unused"}


@pytest.mark.parametrize(
    ("findings", "remark"),
    [
        ([GOOD | {"line": 0}], "no line"),
        ([GOOD | {"line": True}], "no line"),
        ([GOOD | {"severity": "grave"}], "no severity"),
        ([{}], "no file, no line, no severity of low, medium and high, no rule, no message"),
        ([GOOD | {"file": "z.py"}], "its file z.py was not reviewed"),
        ([GOOD, GOOD], "F401 at a.py:3 is told 2 times"),
    ],
)
def test_a_review_is_sent_back_with_what_is_wrong(findings, remark):
    judged = ask(judge_findings, findings=findings, reviewed=["a.py"], listed=["a.py"])
    assert not judged["accepted"]
    assert remark in judged["remarks"][0]
    assert ask(judge_findings, findings=[GOOD], reviewed=["a.py"], listed=["a.py"])["accepted"]


def test_what_two_tools_say_of_one_line_counts_once_and_as_the_worse():
    one = GOOD | {"rule": "S602", "severity": "medium", "tool": "ruff"}
    two = GOOD | {"rule": "B602", "severity": "high", "tool": "bandit", "message": "in other words"}
    merged = ask(merge_findings, parts=[{"findings": [one]}, {"findings": [two, two | {"line": 9}]}])
    assert [(each["rule"], each["line"], each["severity"]) for each in merged["findings"]] == [
        ("B602", 3, "high"),
        ("B602", 9, "high"),
    ]
