"""Parquet files of other writers: what becomes of their types, and which are refused."""

import datetime
import io
from decimal import Decimal

import pyarrow
import pytest
from pyarrow import parquet

from models.data.tables import TableInvalid, read_table

DAY = datetime.datetime(2026, 11, 21, 6, 37, 29)


def parquet_of(names=None, **columns):
    sink = io.BytesIO()
    parquet.write_table(pyarrow.table(list(columns.values()), names=names or list(columns)), sink)
    return sink.getvalue()


def faults_of(content):
    with pytest.raises(TableInvalid) as raised:
        read_table(content, "parquet")
    return raised.value.faults


@pytest.mark.parametrize(
    ("array", "values"),
    [
        (pyarrow.array([1, None, -3], pyarrow.int8()), [1.0, None, -3.0]),
        (pyarrow.array([2**64 - 1], pyarrow.uint64()), [2.0**64]),
        (pyarrow.array([0.5, float("nan")], pyarrow.float16()), [0.5, None]),
        (pyarrow.array([True, False, None]), [1.0, 0.0, None]),
        (pyarrow.array([Decimal("1.25")]), [1.25]),
        (pyarrow.array([3, 3, None]).dictionary_encode(), [3.0, 3.0, None]),
        (pyarrow.nulls(2), [None, None]),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pyarrow.Array) else "",
)
def test_every_kind_of_number_is_one(array, values):
    assert read_table(parquet_of(x=array), "parquet") == ({"x": values}, {"x": "number"})


@pytest.mark.parametrize(
    ("array", "values"),
    [
        (pyarrow.array(["a", "", None, "null"]), ["a", None, None, "null"]),
        (pyarrow.array(["a", "ü"], pyarrow.large_string()), ["a", "ü"]),
        (pyarrow.array(["a", "ü"], pyarrow.string_view()), ["a", "ü"]),
        (pyarrow.array(["a", None]).dictionary_encode(), ["a", None]),
        (pyarrow.array([b"a", "ü".encode()]), ["a", "ü"]),
        (pyarrow.array(["1", "2"]), ["1", "2"]),
        (pyarrow.array([DAY.date()]), ["2026-11-21"]),
        (pyarrow.array([DAY], pyarrow.timestamp("ms")), ["2026-11-21 06:37:29.000"]),
        (pyarrow.array([DAY], pyarrow.timestamp("ms", "UTC")), ["2026-11-21 06:37:29.000Z"]),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pyarrow.Array) else "",
)
def test_all_else_is_text(array, values):
    assert read_table(parquet_of(x=array), "parquet") == ({"x": values}, {"x": "category"})


def test_every_column_that_holds_more_than_one_value_a_row_is_named():
    content = parquet_of(
        a=pyarrow.array([[1]]), b=pyarrow.array([{"x": 1}]), c=pyarrow.array([1]), names=["a", "b", "a"]
    )
    assert faults_of(content) == (
        "column 3: is called 'a', as column 1 is",
        "column 'a': holds list<element: int64>, not one value a row",
        "column 'b': holds struct<x: int64>, not one value a row",
    )


def test_every_value_that_cannot_be_kept_is_named_with_its_row_and_column():
    content = parquet_of(
        n=pyarrow.array([1.0, float("-inf"), 2.0]), c=pyarrow.array(["x" * 1001, "a\0", "b"]), b=[b"\xff", b"", b""]
    )
    named = faults_of(content)
    assert named[:3] == (
        "row 2, column 'n': is infinite",
        "row 1, column 'c': has more than 1000 characters",
        "row 2, column 'c': contains NUL",
    )
    assert "column 'b': holds binary, neither numbers nor text" in named[3]


@pytest.mark.parametrize("content", [b"", b"PAR1", b"a,b\n1,2\n", b"PAR1" + bytes(range(256)) + b"PAR1"])
def test_what_is_no_parquet_file_is_refused(content):
    (fault,) = faults_of(content)
    assert fault.startswith("this is no Parquet file: ")


def test_a_damaged_file_is_refused_wherever_the_damage_is():
    """Or else read: some bytes mean nothing. Nothing else happens."""
    sound = parquet_of(n=pyarrow.array([1.0] * 50), c=pyarrow.array(["a", "b"] * 25))
    refused = 0
    for place in range(0, len(sound), 7):
        damaged = bytearray(sound)
        damaged[place] ^= 0xFF
        try:
            read_table(bytes(damaged), "parquet")
        except TableInvalid as invalid:
            refused += bool(invalid.faults)
    assert refused > 20


def test_a_table_without_rows_is_refused():
    assert faults_of(parquet_of(n=pyarrow.array([], pyarrow.int64()))) == ("there are no rows",)


def test_a_small_file_that_stands_for_too_many_cells_is_refused_unread():
    sink = io.BytesIO()
    parquet.write_table(pyarrow.table({"n": pyarrow.repeat(1, 5_000_001)}), sink)
    assert faults_of(sink.getvalue()) == ("5000001 rows of 1 columns: at most 5000000 cells",)


def test_a_small_file_that_stands_for_too_much_text_is_refused():
    """Refused before any of it is written out."""
    content = parquet_of(c=pyarrow.repeat("x" * 1000, 300_000).dictionary_encode())
    assert len(content) < 100_000
    assert faults_of(content) == ("300000000 bytes of values: at most 268435456",)
