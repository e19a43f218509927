"""The library's published test cases for applications and projections, unchanged, told only our module's name."""

from __future__ import annotations

import os
from unittest import TestCase

import psycopg
import pytest
from eventsourcing.cipher import AESCipher
from eventsourcing.persistence import Tracking
from eventsourcing.postgres import PostgresTrackingRecorder
from eventsourcing.tests import application as published
from eventsourcing.tests import projection as published_projection
from psycopg.sql import SQL, Identifier

from eventstore.persistence import JetStreamFactory


class TestExampleApplication(published.ExampleApplicationTestCase):
    expected_factory_topic = "eventstore.persistence.factory:JetStreamFactory"


class TestExampleApplicationEncryptedAndCompressed(TestExampleApplication):
    @pytest.fixture(autouse=True)
    def encrypted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CIPHER_KEY", AESCipher.create_key(16))
        monkeypatch.setenv("COMPRESSOR_TOPIC", "zlib")


class TestApplication(published.ApplicationTestCase):
    pass


class TestEventSourcedProjection(published_projection.EventSourcedProjectionTestCase):
    """Events and tracking in one atomic batch of the log: no other database takes part."""


class PostgresEventCounters(PostgresTrackingRecorder, published_projection.EventCountersView):
    """A view in PostgreSQL: counter and tracking change in one transaction."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self._table = self.tracking_table_name + "_counters"
        self.check_identifier_length(self._table)
        self.sql_create_statements.append(
            SQL("CREATE TABLE IF NOT EXISTS {0}.{1} (name text PRIMARY KEY, counter bigint)").format(
                Identifier(self.datastore.schema), Identifier(self._table)
            )
        )

    def get_created_event_counter(self) -> int:
        return self._select("CREATED")

    def get_subsequent_event_counter(self) -> int:
        return self._select("SUBSEQUENT")

    def incr_created_event_counter(self, tracking: Tracking) -> None:
        self._increment("CREATED", tracking)

    def incr_subsequent_event_counter(self, tracking: Tracking) -> None:
        self._increment("SUBSEQUENT", tracking)

    def _select(self, name: str) -> int:
        query = SQL("SELECT counter FROM {0}.{1} WHERE name = %s").format(
            Identifier(self.datastore.schema), Identifier(self._table)
        )
        with self.datastore.get_connection() as connection, connection.cursor() as cursor:
            row = cursor.execute(query, (name,)).fetchone()
            return row["counter"] if row else 0

    def _increment(self, name: str, tracking: Tracking) -> None:
        query = SQL(
            "INSERT INTO {0}.{1} AS t VALUES (%s, 1) ON CONFLICT (name) DO UPDATE SET counter = t.counter + 1"
        ).format(Identifier(self.datastore.schema), Identifier(self._table))
        with self.datastore.transaction(commit=True) as cursor:
            self._insert_tracking(cursor, tracking)
            cursor.execute(query, (name,))


class _InPostgres(TestCase):
    @pytest.fixture(autouse=True)
    def _postgres(self, postgres_env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in postgres_env.items():
            monkeypatch.setenv(name, value)
        schema = os.environ["SAGACITY_ES_NAMESPACE"].lower()
        monkeypatch.setenv("POSTGRES_SCHEMA", schema)
        with psycopg.connect(
            dbname=postgres_env["POSTGRES_DBNAME"],
            host=postgres_env["POSTGRES_HOST"],
            port=postgres_env["POSTGRES_PORT"],
            user=postgres_env["POSTGRES_USER"],
        ) as connection:
            connection.execute(SQL("CREATE SCHEMA {0}").format(Identifier(schema)))


class TestEventCountersView(_InPostgres, published_projection.EventCountersViewTestCase):
    def construct_event_counters_view(self) -> published_projection.EventCountersView:
        view = JetStreamFactory(dict(os.environ)).tracking_recorder(PostgresEventCounters)
        assert isinstance(view, PostgresEventCounters)
        return view


class TestEventCountersProjection(_InPostgres, published_projection.AggregateEventCountersProjectionTestCase):
    view_class = PostgresEventCounters
