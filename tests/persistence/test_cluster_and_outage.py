"""The published cases on a cluster of three, and a server that is killed while an application runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from uuid import uuid4

import pytest
from eventsourcing.persistence import OperationalError, StoredEvent
from eventsourcing.utils import Environment

from eventstore.persistence import JetStreamFactory
from tests.eventstore.servers import Servers
from tests.persistence import test_published_applications as applications
from tests.persistence import test_published_recorders as recorders
from tests.persistence.conftest import running


@pytest.fixture(scope="module")
def three_nodes() -> Iterator[Servers]:
    yield from running(3)


@pytest.fixture
def on_three_nodes(three_nodes: Servers, event_store_env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAGACITY_NATS_URL", three_nodes.url)
    monkeypatch.setenv("SAGACITY_ES_REPLICAS", "3")


@pytest.mark.usefixtures("on_three_nodes")
class TestApplicationRecorderOnACluster(recorders.TestApplicationRecorder):
    pass


@pytest.mark.usefixtures("on_three_nodes")
class TestSnapshotRecorderOnACluster(recorders.TestSnapshotRecorder):
    pass


@pytest.mark.usefixtures("on_three_nodes")
class TestProcessRecorderOnACluster(recorders.TestProcessRecorder):
    pass


@pytest.mark.usefixtures("on_three_nodes")
class TestExampleApplicationOnACluster(applications.TestExampleApplication):
    pass


@pytest.mark.usefixtures("on_three_nodes")
class TestEventSourcedProjectionOnACluster(applications.TestEventSourcedProjection):
    pass


@pytest.fixture
def own_node() -> Iterator[Servers]:
    yield from running(1)


def test_an_application_goes_on_when_its_server_is_killed_and_comes_back(own_node: Servers) -> None:
    env = dict(os.environ) | {"SAGACITY_NATS_URL": own_node.url, "SAGACITY_ES_TIMEOUT": "10"}
    factory = JetStreamFactory(Environment("App", env))
    recorder, originator_id = factory.application_recorder(), uuid4()
    events = [StoredEvent(originator_id, version, "topic", b"{}") for version in (1, 2, 3)]
    with recorder.subscribe() as subscription:
        recorder.insert_events(events[:1])
        assert next(subscription).id == 1

        own_node.nodes[0].kill()
        own_node.nodes[0].start()

        recorder.insert_events(events[1:])
        assert [next(subscription).id, next(subscription).id] == [2, 3]
    assert recorder.select_events(originator_id) == events
    factory.close()


def test_an_insert_without_a_server_fails_in_time_as_an_operational_error(own_node: Servers) -> None:
    env = dict(os.environ) | {"SAGACITY_NATS_URL": own_node.url, "SAGACITY_ES_TIMEOUT": "0.5"}
    factory = JetStreamFactory(Environment("App", env))
    recorder = factory.application_recorder()
    own_node.nodes[0].kill()
    with pytest.raises(OperationalError, match=r"0\.5 s"):
        recorder.insert_events([StoredEvent("a", 1, "topic", b"{}")])
    factory.close()
