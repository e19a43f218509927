"""Tables: what is read from files of others, and how they are kept."""

import csv
import hashlib
import io
import json
import math
import subprocess
import sys
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.data.tables import TableInvalid, as_labels, describe, from_parquet, quality_of, read_table, to_parquet


def csv_of(*lines):
    return "\n".join(lines).encode() + b"\n"


def ndjson_of(*rows):
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def read_csv(*lines):
    return read_table(csv_of(*lines), "csv")


def read_ndjson(*rows):
    return read_table(ndjson_of(*rows), "ndjson")


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["1", "-2.5", "+3e2", " 4 ", ".5"], [1.0, -2.5, 300.0, 4.0, 0.5]),
        (["true", "False", "TRUE"], [1.0, 0.0, 1.0]),
        (["1", "", "null", "NaN", "  ", "2"], [1.0, None, None, None, None, 2.0]),
        (["", "null"], [None, None]),
        (["007", "1e-400"], [7.0, 0.0]),
        (["9007199254740993"], [9007199254740992.0]),
    ],
)
def test_a_csv_column_whose_values_are_all_numbers_is_one_of_numbers(cells, values):
    columns, kinds = read_csv("a,b", *(f"{cell},x" for cell in cells))
    assert columns["a"] == values
    assert kinds == {"a": "number", "b": "category"}


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["1", "one"], ["1", "one"]),
        (["true", "maybe"], ["true", "maybe"]),
        (["true", "1"], ["true", "1"]),
        ([" red", "NULL", "", "inf"], [" red", None, None, "inf"]),
        (["NA", "N/A", "None", "-"], ["NA", "N/A", "None", "-"]),
        (["2026-11-21", "0x10", "1_000", "1,5"], ["2026-11-21", "0x10", "1_000", "1,5"]),
    ],
)
def test_any_other_csv_column_is_one_of_categories_as_they_are_written(cells, values):
    text = io.StringIO()
    csv.writer(text).writerows([["a", "b"], *([cell, "1"] for cell in cells)])
    columns, kinds = read_table(text.getvalue().encode(), "csv")
    assert columns["a"] == values
    assert kinds == {"a": "category", "b": "number"}


@pytest.mark.parametrize(
    "content",
    [
        b'a,b\n"x, ""y""\nz",1\n',
        b'\xef\xbb\xbfa,b\r\n"x, ""y""\nz",1\r\n',
        b'a,b\n\n"x, ""y""\nz",1',
    ],
    ids=["plain", "byte order mark and CRLF", "a blank line, and none at the end"],
)
def test_csv_may_be_quoted_and_end_its_lines_as_it_likes(content):
    assert read_table(content, "csv") == ({"a": ['x, "y"\nz'], "b": [1.0]}, {"a": "category", "b": "number"})


def test_every_fault_of_a_csv_file_is_named_at_once_with_its_row_and_column():
    """Rows count from 1 behind the header; those of the wrong length count too."""
    content = csv_of("a,,a,word", "1,2,3,x", "4,5", "inf,1,1,x", "1,2,3,x,5", f"1,2,-1e999,{'x' * 1001}")
    assert faults_of(content, "csv") == (
        "row 2: has 2 cells, not 4",
        "row 4: has 5 cells, not 4",
        "column 2: has no name",
        "column 3: is called 'a', as column 1 is",
        "row 3, column 'a': is infinite",
        "row 5, column 'a': is infinite",
        "row 5, column 'word': has more than 1000 characters",
    )


def faults_of(content, format):
    with pytest.raises(TableInvalid) as raised:
        read_table(content, format)
    return raised.value.faults


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "the file is empty"),
        (b" \n\n", "the file is empty"),
        (b"a,b", "there are no rows"),
        (b"a,b\n1,\xff\n", "byte 6 (0xff) is not UTF-8: invalid start byte"),
        ("a\n1\n".encode("utf-16"), "byte 0 (0xff) is not UTF-8: invalid start byte"),
        (b"a\n1\0\n", "byte 3 is NUL: that is no text"),
        (b'a,b\n1,x\n2,"y\n3,z\n', "row 2: a quotation mark is not closed, there or before"),
        (b"x" * 201 + b"\n1\n", "column 1: its name has more than 200 characters"),
        (b"a," * 1000 + b"a\n1\n", "1001 columns: at most 1000"),
        (b"," * 999 + b"\n" + (b"," * 999 + b"\n") * 5001, "5001 rows of 1000 columns: at most 5000000 cells"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_csv_table_is_refused(content, fault):
    assert fault in faults_of(content, "csv")


def test_of_many_faults_a_hundred_are_named_and_all_are_counted():
    faults = faults_of(csv_of("a,b", *["inf,1"] * 250, *["1"] * 50), "csv")
    assert len(faults) == 101
    assert faults[-1] == "and 200 more"


def test_ndjson_keeps_its_kinds_and_what_a_line_lacks_is_missing():
    columns, kinds = read_ndjson(
        {"n": 1, "b": True, "t": "1", "mix": 1.0},
        {"n": 2.5, "t": "", "late": None},
        {"n": math.nan, "b": None, "t": "null", "mix": "x", "late": 3},
        {"b": False, "mix": True},
    )
    assert columns == {
        "n": [1.0, 2.5, None, None],
        "b": [1.0, None, None, 0.0],
        "t": ["1", None, "null", None],
        "mix": ["1", None, "x", "1"],
        "late": [None, None, 3.0, None],
    }
    assert [name for name, kind in kinds.items() if kind == "number"] == ["n", "b", "late"]


def test_every_fault_of_an_ndjson_file_is_named_at_once_with_its_line_and_column():
    content = b"\n".join(
        [
            b'{"a": 1, "b": {"c": 1}}',
            b'{"a": [1, 2]}',
            b"",
            b'{"a": 1, "a": 2}',
            b"[1]",
            b'{"a": 1',
            b'{"a": -Infinity, "\\u0000": 1}',
            b'{"b": "\\ud800"}',
            b'{"a": 1e999, "b": "x\\u0000"}',
            b"[" * 100_000,
        ]
    )
    assert faults_of(content, "ndjson") == (
        "line 1, column 'b': holds an object, not one value",
        "line 2, column 'a': holds an array, not one value",
        "line 4: has 'a' twice",
        "line 5: is no JSON object",
        "line 6: is no JSON: Expecting ',' delimiter (character 8)",
        "line 10: is nested too deeply",
        "column 3: its name is no text",
        "line 7, column 'a': is infinite",
        "line 9, column 'a': is infinite",
        "line 8, column 'b': half a surrogate pair is no character",
        "line 9, column 'b': contains NUL",
    )


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "there are no rows"),
        (b"{}\n", "there are no columns"),
        (b'{"a": "\xe9"}\n', "byte 7 (0xe9) is not UTF-8: invalid continuation byte"),
        (ndjson_of({str(n): 1 for n in range(1001)}), "1001 columns: at most 1000 (by line 1)"),
        (
            ndjson_of({str(n): 1 for n in range(1000)}) + b"{}\n" * 6000,
            "5001 rows of 1000 columns: at most 5000000 cells (by line 5001)",
        ),
    ],
    ids=["empty", "no names", "not UTF-8", "columns", "cells"],
)
def test_what_is_no_ndjson_table_is_refused(content, fault):
    assert fault in faults_of(content, "ndjson")


numbers = st.none() | st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20)
words = st.none() | texts
names = texts.map(lambda text: text.strip() or "x")


@st.composite
def tables(draw):
    rows = draw(st.integers(1, 8))
    kinds = draw(st.dictionaries(names, st.sampled_from(["number", "category"]), min_size=1, max_size=4))
    values = {"number": numbers, "category": words}
    return {name: draw(st.lists(values[kind], min_size=rows, max_size=rows)) for name, kind in kinds.items()}, kinds


@given(tables())
def test_what_is_kept_as_parquet_is_what_was_given(table):
    assert from_parquet(to_parquet(*table)) == table
    columns, kinds = read_table(to_parquet(*table), "parquet")
    assert (columns, kinds) == table


@given(tables())
def test_what_is_written_as_ndjson_is_read_as_it_was(table):
    """But for a column without a value, of which nothing is known: it counts as one of numbers."""
    columns, kinds = table
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    read, read_kinds = read_ndjson(*rows)
    assert read == columns
    assert read_kinds == {
        name: kinds[name] if any(v is not None for v in columns[name]) else "number" for name in kinds
    }


@given(st.lists(numbers.filter(lambda value: value is not None), min_size=1))
def test_no_digit_of_a_number_is_lost_in_csv(values):
    columns, _ = read_csv("a,b", *(f"{value!r},x" for value in values))
    assert columns["a"] == values


COLUMNS = {"n": [1.0, None, 2.5], "c": ["x", "ü", None]}
KINDS = {"n": "number", "c": "category"}


def test_the_same_columns_give_the_same_bytes_in_another_process():
    program = (
        "import hashlib; from models.data.tables import to_parquet;"
        f"print(hashlib.sha256(to_parquet({COLUMNS!r}, {KINDS!r})).hexdigest())"
    )
    there = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()
    assert hashlib.sha256(to_parquet(COLUMNS, KINDS)).hexdigest() == there


def test_missing_values_have_one_form_in_the_file():
    assert to_parquet({**COLUMNS, "n": [1.0, math.nan, 2.5]}, KINDS) == to_parquet(COLUMNS, KINDS)


def test_numbers_are_described_by_their_deciles():
    (column,) = describe({"n": [float(n) for n in range(1, 101)] + [None, None]}, {"n": "number"})
    assert (column.name, column.type, column.missing, column.distinct) == ("n", "number", 2, 100)
    assert column.mean == 50.5
    assert column.deviation == pytest.approx(math.sqrt((100**2 - 1) / 12))
    assert column.deciles == (1.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 100.0)


@given(st.lists(st.integers(-50, 50).map(float), min_size=1, max_size=200))
def test_deciles_are_those_of_the_inverse_distribution_function(values):
    """The least value that at least so many tenths of all do not exceed."""
    (column,) = describe({"n": values}, {"n": "number"})
    tenths = [Fraction(tenth, 10) for tenth in range(11)]
    below = [[value for value in sorted(values) if sum(v <= value for v in values) >= q * len(values)] for q in tenths]
    assert list(column.deciles) == [values[0] for values in below]
    assert column.distinct == len(set(values))


def test_of_numbers_too_large_to_add_only_the_order_is_told():
    (column,) = describe({"n": [1.7e308, 1.7e308, -1.7e308, 1.7e308]}, {"n": "number"})
    assert (column.mean, column.deviation) == (None, None)
    assert column.deciles[0] == -1.7e308


def test_a_column_without_values_has_none_to_describe():
    number, category = describe({"n": [None], "c": [None]}, KINDS)
    assert (number.missing, number.distinct, number.mean, number.deciles) == (1, 0, None, ())
    assert (category.missing, category.distinct, category.counts) == (1, 0, {})


def test_categories_are_described_by_the_twenty_most_common_ones():
    values = ["common"] * 3 + [f"v{n:02}" for n in range(30)] * 2 + [None]
    (column,) = describe({"c": values}, {"c": "category"})
    assert (column.missing, column.distinct) == (1, 31)
    assert list(column.counts.items()) == [("common", 3), *((f"v{n:02}", 2) for n in range(19))]


def test_the_description_of_a_wide_table_stays_small():
    """It has to fit a message of the log."""
    columns = {f"c{n}": [f"{row}{'x' * 900}" for row in range(30)] for n in range(1000)}
    described = describe(columns, dict.fromkeys(columns, "category"))
    assert {len(column.counts) for column in described} == {4}
    assert max(len(value) for column in described for value in column.counts) == 60


def test_quality_is_the_share_of_cells_that_are_there():
    assert quality_of(COLUMNS) == pytest.approx(4 / 6)
    assert quality_of({"n": [1.0, math.nan]}) == 0.5
    assert quality_of({}) == 1.0


def test_labels_are_the_names_of_classes_however_they_are_written():
    assert as_labels([1.0, 1, True, "1", 0.5, -0.0, "yes", 1e20]) == [
        "1",
        "1",
        "1",
        "1",
        "0.5",
        "0",
        "yes",
        "1" + "0" * 20,
    ]


@pytest.mark.parametrize("missing", [None, math.nan])
def test_a_row_without_a_label_has_no_class(missing):
    with pytest.raises(ValueError, match="1 rows have no label, row 2"):
        as_labels(["a", missing])
