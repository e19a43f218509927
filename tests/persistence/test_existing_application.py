"""An application written for the `eventsourcing` library, unchanged, on our log."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from uuid import NAMESPACE_URL, UUID, uuid4, uuid5

import pytest
from eventsourcing.application import AggregateNotFoundError, Application, ProcessingEvent
from eventsourcing.domain import Aggregate, DomainEventProtocol, event
from eventsourcing.persistence import IntegrityError
from eventsourcing.system import MultiThreadedRunner, NotificationLogReader, ProcessApplication, Runner, System
from eventsourcing.system import SingleThreadedRunner as OneThreadRunner

from eventstore.catalogue import Catalogue
from eventstore.connection import connect_to
from eventstore.store import EventStore
from eventstore.streams import LogLocation
from eventstore.verification import verify


class Server(Aggregate):
    @event("Registered")
    def __init__(self, name: str) -> None:
        self.name = name
        self.releases: list[str] = []

    @event("Released")
    def release(self, version: str) -> None:
        self.releases.append(version)


class Servers(Application[UUID]):
    snapshotting_intervals = {Server: 10}

    def register(self, name: str) -> UUID:
        server = Server(name)
        self.save(server)
        return server.id

    def release(self, server_id: UUID, version: str) -> None:
        """With a retry for every lost race, as applications do."""
        while True:
            server: Server = self.repository.get(server_id)
            server.release(version)
            try:
                self.save(server)
            except IntegrityError:
                continue
            return


def test_hundreds_of_saves_by_many_threads_survive_a_close_and_a_reopening() -> None:
    with Servers() as app:
        ids = [app.register(f"server {number}") for number in range(8)]
        work = [(server_id, f"{turn}") for turn in range(50) for server_id in ids]
        with ThreadPoolExecutor(16) as threads:
            list(threads.map(lambda item: app.release(*item), work))

    with Servers() as app:
        for server_id in ids:
            server: Server = app.repository.get(server_id)
            assert server.version == 51
            assert sorted(server.releases, key=int) == [str(turn) for turn in range(50)]
        assert app.snapshots is not None
        assert [s.originator_version for s in app.snapshots.get(ids[0])] == [10, 20, 30, 40, 50]
        assert app.recorder.max_notification_id() == 8 * 51
        read = list(NotificationLogReader(app.notification_log).read(start=1))
        assert [notification.id for notification in read] == list(range(1, 8 * 51 + 1))


def test_of_writers_racing_for_one_version_exactly_one_wins() -> None:
    apps = [Servers() for _ in range(4)]
    server_id = apps[0].register("contended")
    rivals: list[Server] = [app.repository.get(server_id) for app in apps]
    for number, rival in enumerate(rivals):
        rival.release(f"{number}")

    def save(app: Servers, rival: Server) -> bool:
        try:
            app.save(rival)
        except IntegrityError:
            return False
        return True

    with ThreadPoolExecutor(4) as threads:
        won = list(threads.map(save, apps, rivals))
    assert won.count(True) == 1
    survivor: Server = apps[0].repository.get(server_id)
    assert survivor.releases == [str(won.index(True))]
    for app in apps:
        app.close()


def test_an_older_snapshot_may_be_taken_after_a_newer_one() -> None:
    with Servers() as app:
        server_id = app.register("looked back at")
        for version in ("1", "2", "3", "4"):
            app.release(server_id, version)
        app.take_snapshot(server_id, version=4)
        app.take_snapshot(server_id, version=2)
        with pytest.raises(IntegrityError):
            app.take_snapshot(server_id, version=2)
        assert app.snapshots is not None
        assert [s.originator_version for s in app.snapshots.get(server_id)] == [2, 4]
        assert [s.originator_version for s in app.snapshots.get(server_id, desc=True, limit=1)] == [4]
        assert [s.originator_version for s in app.snapshots.get(server_id, desc=True, limit=1, lte=3)] == [2]
        assert app.repository.get(server_id, version=3).version == 3


async def test_what_stands_in_the_log_is_a_readable_cloudevent_in_a_chain_that_verifies(
    event_store_env: dict[str, str],
) -> None:
    with Servers() as app:
        server_id = app.register("documented")
        for number in range(30):
            app.release(server_id, f"{number}")

    connection = await connect_to(event_store_env["SAGACITY_NATS_URL"])
    for purpose, count in (("events", 31), ("snapshots", 3)):
        name = f"{event_store_env['SAGACITY_ES_NAMESPACE']}_servers_{purpose}"
        store = await EventStore.open(connection, Catalogue([]), LogLocation(name, name))
        verified = await verify(store)
        assert (verified.events, verified.streams) == (count, 1)
        # The types are the application's: nothing but their data is foreign to us.
        assert {fault.kind for fault in verified.faults} == {"data"}
        if purpose == "events":
            documents = [json.loads(event.raw) for event in await store.read()]
        await store.close()
    await connection.close()

    document = documents[1]
    assert document["type"].endswith(":Server.Released")
    assert document["source"] == "/eventsourcing/Servers"
    assert document["actor"] == "Servers"
    assert document["stream"] == f"aggregate/{server_id}"
    assert document["data"]["originator_version"] == 2
    assert document["data"]["state"]["version"] == "0"


def test_an_application_that_is_dropped_without_a_close_lets_go_of_its_thread() -> None:
    before = set(threading.enumerate())
    app = Servers()
    app.register("dropped")
    [thread] = [thread for thread in threading.enumerate() if thread not in before]
    del app
    gc.collect()
    thread.join(5)
    assert not thread.is_alive()


def test_a_process_that_never_closes_its_application_still_ends() -> None:
    program = """
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate
app = Application()
app.save(Aggregate())
subscription = app.recorder.subscribe()
next(subscription)
print("saved")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stdout, done.stderr) == (0, "saved\n", "")


class Reports(ProcessApplication[UUID]):
    """Counts the releases of every server, in aggregates of its own."""

    def policy(self, domain_event: DomainEventProtocol[UUID], processing_event: ProcessingEvent[UUID]) -> None:
        if type(domain_event).__name__ != "Released":
            return
        report_id = report_of(domain_event.originator_id)
        try:
            report: Report = self.repository.get(report_id)
        except AggregateNotFoundError:
            report = Report(domain_event.originator_id)
        report.count()
        processing_event.collect_events(report)


class Report(Aggregate):
    @event("Opened")
    def __init__(self, server_id: UUID) -> None:
        self.server_id = server_id
        self.releases = 0

    @classmethod
    def create_id(cls, server_id: UUID) -> UUID:
        return report_of(server_id)

    @event("Counted")
    def count(self) -> None:
        self.releases += 1


def report_of(server_id: UUID) -> UUID:
    return uuid5(NAMESPACE_URL, f"report/{server_id}")


@pytest.mark.parametrize("runner_class", [OneThreadRunner, MultiThreadedRunner])
def test_a_system_of_applications_processes_every_event_exactly_once(runner_class: type[Runner[UUID]]) -> None:
    system = System(pipes=[[Servers, Reports]])
    with runner_class(system) as runner:
        app, reports = runner.get(Servers), runner.get(Reports)
        server_id = app.register("reported")
        for version in range(20):
            app.release(server_id, f"{version}")
        reports.recorder.wait("Servers", app.recorder.max_notification_id(), timeout=10)
        assert reports.repository.get(report_of(server_id)).releases == 20

    # Started again it goes on where it stood: nothing is counted twice.
    with runner_class(System(pipes=[[Servers, Reports]])) as runner:
        app, reports = runner.get(Servers), runner.get(Reports)
        app.release(server_id, "last")
        reports.recorder.wait("Servers", app.recorder.max_notification_id(), timeout=10)
        assert reports.repository.get(report_of(server_id)).releases == 21


def test_an_unknown_aggregate_is_not_found() -> None:
    with Servers() as app, pytest.raises(AggregateNotFoundError):
        app.repository.get(uuid4())


def test_settings_can_be_given_for_one_application_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    url = os.environ["SAGACITY_NATS_URL"]
    monkeypatch.delenv("SAGACITY_NATS_URL")
    monkeypatch.setenv("SERVERS_SAGACITY_NATS_URL", url)
    with Servers() as app:
        assert app.register("by its own settings")
