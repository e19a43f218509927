"""Rows of a real PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from domain.automation import DatabasePoller
from records.automations import rows
from records.automations.rows import occurrences
from tests.records.automations.platform import collected, until

BY_ID = DatabasePoller(
    "ORDERS",
    "SELECT * FROM orders WHERE id > coalesce(nullif($1::text, '')::int, 0) ORDER BY id",
    "id",
    every=0.1,
)
BY_DAY = DatabasePoller(
    "ORDERS",
    "SELECT * FROM orders WHERE placed > coalesce(nullif($1::text, '')::date, '-infinity') ORDER BY placed, id",
    "placed",
    every=0.1,
)


@pytest_asyncio.fixture
async def orders(database_url: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(
            "CREATE TABLE orders (id int PRIMARY KEY, customer text, total numeric, placed date, paid timestamptz)"
        )
        yield connection
    finally:
        await connection.close()


async def order(orders: asyncpg.Connection[Any], id: int, day: int = 1) -> None:
    await orders.execute("INSERT INTO orders VALUES ($1, $2, 12.50, make_date(2026, 5, $3))", id, f"Ann {id}", day)


async def test_a_row_is_told_of_once_with_its_fields(orders: asyncpg.Connection[Any], database_url: str) -> None:
    await order(orders, 1)
    async with collected(occurrences(BY_ID, database_url, None)) as found:
        await until(lambda: len(found) == 1)
        await order(orders, 2)
        await until(lambda: len(found) == 2)
    assert found[0].fields == {"id": 1, "customer": "Ann 1", "total": 12.5, "placed": "2026-05-01", "paid": None}
    assert found[0].values["paid"] == ""
    assert [(each.what, each.cursor) for each in found] == [("the row 1", "1"), ("the row 2", "2")]


async def test_a_look_begins_after_the_cursor(orders: asyncpg.Connection[Any], database_url: str) -> None:
    for id in (1, 2, 3):
        await order(orders, id)
    async with collected(occurrences(BY_ID, database_url, "2")) as found:
        await until(lambda: bool(found))
    assert [each.cursor for each in found] == ["3"]


async def test_the_cursor_moves_when_all_rows_that_have_it_were_told_of(
    orders: asyncpg.Connection[Any], database_url: str
) -> None:
    """After a crash between two of them, the rest would be left out."""
    for id, day in ((1, 1), (2, 1), (3, 2), (4, 2)):
        await order(orders, id, day)
    async with collected(occurrences(BY_DAY, database_url, None)) as found:
        await until(lambda: len(found) == 4)
    assert [each.cursor for each in found] == [None, "2026-05-01", None, "2026-05-02"]


async def test_more_rows_than_are_taken_at_once_are_all_told_of(
    orders: asyncpg.Connection[Any], database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the rows of one day go beyond what is taken at once."""
    monkeypatch.setattr(rows, "_AT_A_LOOK", 5)
    await orders.execute(
        "INSERT INTO orders SELECT n, 'Ann', 1, make_date(2026, 5, 1 + n / 7) FROM generate_series(1, 40) AS n"
    )
    async with collected(occurrences(BY_DAY, database_url, None)) as found:
        await until(lambda: len(found) >= 40)
    assert [each.fields["id"] for each in found] == list(range(1, 41))
    assert len({each.id for each in found}) == 40


async def test_a_query_cannot_write(orders: asyncpg.Connection[Any], database_url: str) -> None:
    trigger = DatabasePoller("ORDERS", "DELETE FROM orders WHERE customer <> $1::text RETURNING id", "id")
    await order(orders, 1)
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await anext(occurrences(trigger, database_url, None))
    assert await orders.fetchval("SELECT count(*) FROM orders") == 1


@pytest.mark.parametrize("query", ["SELECT customer, $1::text FROM orders", "SELECT NULL AS id, $1::text FROM orders"])
async def test_rows_without_a_cursor_are_an_error(
    orders: asyncpg.Connection[Any], database_url: str, query: str
) -> None:
    await order(orders, 1)
    with pytest.raises(LookupError, match="has no column 'id', or a row without"):
        await anext(occurrences(DatabasePoller("ORDERS", query, "id"), database_url, None))


async def test_a_url_of_no_database_is_not_told_with_its_password() -> None:
    with pytest.raises(LookupError) as error:
        await anext(occurrences(BY_ID, "postgres://ann:top:secret@host:x/db", None))
    assert str(error.value) == "the variable ORDERS holds no URL of a database"
