"""The `eventsourcing` library's projection runner on PostgreSQL: it counts events, one transaction an event."""

from __future__ import annotations

import time
import uuid
from typing import Any

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from eventsourcing.postgres import PostgresTrackingRecorder
from eventsourcing.projection import Projection, ProjectionRunner
from psycopg.sql import SQL, Identifier

from benchmarks.library import environment


class Thing(Aggregate):
    @event("Happened")
    def happen(self, text: str) -> None:
        self.text = text


class Things(Application[Any]):
    pass


class Counts(PostgresTrackingRecorder):
    """One row, counted up together with the tracking record."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.sql_create_statements.append(
            SQL("CREATE TABLE IF NOT EXISTS {0} (id int PRIMARY KEY, n bigint)").format(
                Identifier(f"{self.tracking_table_name}_n")
            )
        )

    def count(self, tracking: Any) -> None:
        with self.datastore.transaction(commit=True) as cursor:
            table = Identifier(f"{self.tracking_table_name}_n")
            cursor.execute(
                SQL("INSERT INTO {0} VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET n = {0}.n + 1").format(table)
            )
            self._insert_tracking(cursor, tracking)


class Counting(Projection[Counts]):
    def process_event(  # pyright: ignore[reportIncompatibleVariableOverride] - one handler for every type
        self, domain_event: Any, tracking: Any
    ) -> None:
        self.view.count(tracking)


def runner_rate(database_url: str, events: int) -> float:
    """Events per second from the start of the runner to the last event counted."""
    suffix = uuid.uuid4().hex[:8]
    Things.name = f"things{suffix}"
    Counting.name = f"counting{suffix}"
    env = environment(database_url, functions=True)
    app = Things(env)
    for _ in range(events // 100):
        thing = Thing()
        for number in range(99):
            thing.happen(f"{number}" + "x" * 180)
        app.save(thing)
    last = app.recorder.max_notification_id() or 0
    app.close()
    began = time.perf_counter()
    with ProjectionRunner(application_class=Things, view_class=Counts, projection_class=Counting, env=env) as runner:
        runner.wait(last, timeout=120)
        return last / (time.perf_counter() - began)
