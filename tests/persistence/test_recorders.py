"""What our recorders promise beyond the published cases."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from eventsourcing.persistence import (
    ApplicationRecorder,
    DataError,
    IntegrityError,
    InterfaceError,
    NotSupportedError,
    OperationalError,
    ProcessRecorder,
    ProgrammingError,
    StoredEvent,
    Tracking,
)
from eventsourcing.popo import POPOTrackingRecorder
from eventsourcing.sqlite import SQLiteTrackingRecorder
from eventsourcing.utils import Environment
from hypothesis import given
from hypothesis import strategies as st

from eventstore.persistence import JetStreamFactory
from eventstore.persistence.stored import text_of, token_of
from eventstore.subjects import is_valid_id


def an_event(originator_id: UUID | str, version: int, state: bytes = b'{"a":1}', topic: str = "topic") -> StoredEvent:
    return StoredEvent(originator_id, version, topic, state)


@pytest.fixture
def factory() -> Iterator[JetStreamFactory]:
    made = JetStreamFactory(Environment("App", dict(os.environ)))
    yield made
    made.close()


@pytest.fixture
def recorder(factory: JetStreamFactory) -> ApplicationRecorder:
    return factory.application_recorder()


# --- what is stored comes back ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "state",
    [
        b"",
        b"{}",
        b' {"a": 1}',
        b'{"a":1}\n',
        b'{"a":NaN}',
        b'{"a":1e400}',
        b'{"a":12345678901234567890123}',
        b'{"a":1,"a":2}',
        b'"\\ud83d"',
        "{'ä': '🐈'}".encode(),
        '{"ä":"🐈\\u0000"}'.encode(),
        bytes(range(256)),
        b"[" * 5_000 + b"]" * 5_000,
    ],
)
def test_every_state_comes_back_to_the_byte(recorder: ApplicationRecorder, state: bytes) -> None:
    originator_id = uuid4()
    recorder.insert_events([an_event(originator_id, 1, state)])
    assert recorder.select_events(originator_id) == [an_event(originator_id, 1, state)]
    assert recorder.select_notifications(None, 1)[0].state == state


SOME_ID = UUID("7d3c1a52-6f0e-4b8e-9a41-2c5d8e7f9b10")


@pytest.mark.parametrize(
    "originator_id",
    ["plain-id_1", "q--looks-quoted", "", ".", "a.b", "a b>*", "Jürgen/🐈", "_", "x" * 128, str(SOME_ID), SOME_ID.hex],
)
def test_every_id_comes_back_with_its_type(recorder: ApplicationRecorder, originator_id: str) -> None:
    recorder.insert_events([an_event(originator_id, 1)])
    assert recorder.select_events(originator_id) == [an_event(originator_id, 1)]


def test_a_uuid_is_found_by_its_text_too(recorder: ApplicationRecorder) -> None:
    originator_id = uuid4()
    recorder.insert_events([an_event(originator_id, 1)])
    assert recorder.select_events(str(originator_id)) == [an_event(originator_id, 1)]


@given(st.text(max_size=10))
def test_quoting_an_id_is_reversible_and_gives_a_safe_token(text: str) -> None:
    token = token_of(text)
    assert is_valid_id(token)
    assert text_of(token) == text


@given(st.text(max_size=10), st.text(max_size=10))
def test_different_ids_never_share_a_token(one: str, other: str) -> None:
    assert (token_of(one) == token_of(other)) == (one == other)


# --- versions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("versions", [[0, 1, 2, 3], [1, 2, 3], [5, 6, 7], [1, 5, 9], [4, 2, 9, 0]])
def test_versions_start_anywhere_skip_numbers_and_may_come_out_of_order(
    recorder: ApplicationRecorder, versions: list[int]
) -> None:
    originator_id = uuid4()
    for version in versions:
        recorder.insert_events([an_event(originator_id, version)])
    ascending = sorted(versions)

    def selected(**bounds: int | bool) -> list[int]:
        return [e.originator_version for e in recorder.select_events(originator_id, **bounds)]  # type: ignore[arg-type]

    assert selected() == ascending
    assert selected(desc=True) == ascending[::-1]
    for limit in range(1, 5):
        assert selected(limit=limit) == ascending[:limit]
        assert selected(desc=True, limit=limit) == ascending[::-1][:limit]
    for bound in range(-1, 11):
        assert selected(gt=bound) == [v for v in ascending if v > bound]
        assert selected(lte=bound) == [v for v in ascending if v <= bound]
        assert selected(gt=bound, desc=True, limit=2) == [v for v in ascending[::-1] if v > bound][:2]
        assert selected(gt=2, lte=bound) == [v for v in ascending if 2 < v <= bound]
    for version in versions:
        with pytest.raises(IntegrityError):
            recorder.insert_events([an_event(originator_id, version)])


def test_a_second_recorder_that_knows_nothing_appends_after_what_is_there(
    recorder: ApplicationRecorder, factory: JetStreamFactory
) -> None:
    originator_id = uuid4()
    for version in (0, 1):
        recorder.insert_events([an_event(originator_id, version)])
    for version in (2, 7):
        other = JetStreamFactory(factory.env)
        other.application_recorder().insert_events([an_event(originator_id, version)])
        other.close()
    recorder.insert_events([an_event(originator_id, 8)])
    assert [e.originator_version for e in recorder.select_events(originator_id)] == [0, 1, 2, 7, 8]


def test_a_conflict_with_another_recorders_event_is_an_integrity_error_and_stores_nothing(
    recorder: ApplicationRecorder, factory: JetStreamFactory
) -> None:
    mine, shared = uuid4(), uuid4()
    recorder.insert_events([an_event(shared, 1)])
    other = JetStreamFactory(factory.env)
    other.application_recorder().insert_events([an_event(shared, 2)])
    other.close()
    with pytest.raises(IntegrityError):
        recorder.insert_events([an_event(mine, 1), an_event(shared, 2)])
    assert recorder.select_events(mine) == []
    assert recorder.max_notification_id() == 2


def test_a_batch_spans_aggregates_in_the_order_given(recorder: ApplicationRecorder) -> None:
    events = [an_event(uuid4(), 1) for _ in range(3)] * 1
    events += [an_event(e.originator_id, 2) for e in events]
    assert recorder.insert_events(events) == [1, 2, 3, 4, 5, 6]
    assert [(n.originator_id, n.originator_version) for n in recorder.select_notifications(None, 10)] == [
        (e.originator_id, e.originator_version) for e in events
    ]


def test_streams_above_the_servers_listing_limit_are_read_whole_and_by_their_ends(
    recorder: ApplicationRecorder,
) -> None:
    originator_id = uuid4()
    for first in range(1, 1501, 500):
        recorder.insert_events([an_event(originator_id, v) for v in range(first, first + 500)])
    assert [e.originator_version for e in recorder.select_events(originator_id)] == list(range(1, 1501))
    assert [e.originator_version for e in recorder.select_events(originator_id, gt=1497)] == [1498, 1499, 1500]
    assert [e.originator_version for e in recorder.select_events(originator_id, desc=True, limit=2)] == [1500, 1499]
    assert len(recorder.select_notifications(None, 5_000)) == 1500


# --- refusals ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("events", "error"),
    [
        ([an_event("a", 1), an_event("a", 1)], IntegrityError),
        ([an_event("a", -1)], DataError),
        ([an_event("x" * 129, 1)], DataError),
        ([an_event("\ud800", 1)], DataError),
        ([an_event("a", v) for v in range(1_001)], DataError),
        ([an_event("a", 1, b"x" * 2_000_000)], DataError),
    ],
)
def test_what_can_never_be_recorded_is_refused_before_anything_is_stored(
    recorder: ApplicationRecorder, events: list[StoredEvent], error: type[Exception]
) -> None:
    with pytest.raises(error):
        recorder.insert_events(events)
    assert recorder.max_notification_id() is None


def test_an_application_recorder_refuses_tracking_instead_of_dropping_it(recorder: ApplicationRecorder) -> None:
    with pytest.raises(NotSupportedError):
        recorder.insert_events([an_event("a", 1)], tracking=Tracking("upstream", 1))


def test_a_missing_log_is_created_only_where_that_is_allowed(event_store_env: dict[str, str]) -> None:
    careful = JetStreamFactory(Environment("App", event_store_env | {"CREATE_TABLE": "n"}))
    with pytest.raises(ProgrammingError, match="there is no stream"):
        careful.application_recorder()
    creating = JetStreamFactory(Environment("App", event_store_env))
    creating.application_recorder().insert_events([an_event("a", 1)])
    assert careful.application_recorder().max_notification_id() == 1
    careful.close()
    creating.close()


def test_every_wrong_setting_is_named_at_once() -> None:
    with pytest.raises(OSError, match=r"SAGACITY_NATS_URL .*SAGACITY_ES_REPLICAS .*SAGACITY_ES_TIMEOUT") as raised:
        JetStreamFactory(Environment("App", {"SAGACITY_ES_REPLICAS": "2", "SAGACITY_ES_TIMEOUT": "soon"}))
    assert "of App" in str(raised.value)


def test_a_server_that_is_not_there_is_an_operational_error_without_credentials() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"nats://me:secret@127.0.0.1:{closed.getsockname()[1]}"
        factory = JetStreamFactory(Environment("App", {"SAGACITY_NATS_URL": url, "SAGACITY_ES_TIMEOUT": "0.5"}))
        with pytest.raises(OperationalError) as raised:
            factory.application_recorder()
        assert "secret" not in str(raised.value)
        factory.close()


def test_a_closed_factorys_recorder_says_so(recorder: ApplicationRecorder, factory: JetStreamFactory) -> None:
    factory.close()
    factory.close()
    with pytest.raises(InterfaceError):
        recorder.max_notification_id()


# --- subscriptions ---------------------------------------------------------------------------------------------------


def in_thread(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("ending", ["stop", "close"])
def test_a_waiting_subscription_ends_when_stopped_or_when_its_application_closes(
    recorder: ApplicationRecorder, factory: JetStreamFactory, ending: str
) -> None:
    recorder.insert_events([an_event("a", 1)])
    subscription, arrived, seen = recorder.subscribe(), threading.Event(), []

    def follow() -> None:
        for notification in subscription:
            seen.append(notification.id)
            arrived.set()

    thread = in_thread(follow)
    assert arrived.wait(5)
    subscription.stop() if ending == "stop" else factory.close()
    thread.join(5)
    assert not thread.is_alive()
    assert seen == [1]


def test_a_subscription_sees_what_many_threads_record_once_and_in_order(recorder: ApplicationRecorder) -> None:
    writers = [
        in_thread(lambda: [recorder.insert_events([an_event(uuid4(), 1), an_event(uuid4(), 1)]) for _ in range(50)])
        for _ in range(4)
    ]
    with recorder.subscribe(gt=0) as subscription:
        seen = [next(subscription).id for _ in range(400)]
    assert seen == list(range(1, 401))
    for writer in writers:
        writer.join()


# --- tracking ------------------------------------------------------------------------------------------------------


def test_events_and_tracking_are_recorded_together_or_not_at_all(factory: JetStreamFactory) -> None:
    process: ProcessRecorder = factory.process_recorder()
    process.insert_events([an_event("a", 1)], tracking=Tracking("upstream/ä", 5))
    with pytest.raises(IntegrityError):
        process.insert_events([an_event("b", 1)], tracking=Tracking("upstream/ä", 5))
    with pytest.raises(IntegrityError):
        process.insert_events([an_event("a", 1)], tracking=Tracking("upstream/ä", 6))
    assert process.select_events("b") == []
    assert process.max_tracking_id("upstream/ä") == 5


def test_tracking_records_are_no_notifications(factory: JetStreamFactory) -> None:
    process: ProcessRecorder = factory.process_recorder()
    assert process.max_notification_id() is None
    process.insert_events([], tracking=Tracking("upstream", 1))
    assert process.max_notification_id() is None
    first = process.insert_events([an_event("a", 1)], tracking=Tracking("upstream", 2))
    process.insert_events([], tracking=Tracking("upstream", 3))
    second = process.insert_events([an_event("a", 2)])
    assert first is not None
    assert second is not None
    ids = [*first, *second]
    assert process.max_notification_id() == ids[-1]
    assert [n.id for n in process.select_notifications(None, 10)] == ids
    with process.subscribe() as subscription:
        assert [next(subscription).id, next(subscription).id] == ids


class PlainView(POPOTrackingRecorder):
    pass


class SQLiteView(SQLiteTrackingRecorder):
    pass


def test_a_view_made_for_a_database_of_the_library_is_built_there(tmp_path: Path) -> None:
    env = dict(os.environ) | {"SQLITE_DBNAME": str(tmp_path / "views.db")}
    factory = JetStreamFactory(Environment("App", env))
    for view_class in (PlainView, SQLiteView):
        view = factory.tracking_recorder(view_class)
        assert type(view) is view_class
        view.insert_tracking(Tracking("upstream", 1))
        assert view.max_tracking_id("upstream") == 1
    factory.close()


@pytest.mark.parametrize("setting", ["APPLICATION_RECORDER_TOPIC", "PROCESS_RECORDER_TOPIC", "TRACKING_RECORDER_TOPIC"])
def test_a_recorder_topic_of_the_wrong_kind_is_refused(setting: str) -> None:
    factory = JetStreamFactory(Environment("App", dict(os.environ) | {setting: "builtins:dict"}))
    with pytest.raises(ProgrammingError, match=f"{setting} names builtins:dict"):
        getattr(factory, setting.removesuffix("_TOPIC").lower())()
    factory.close()
