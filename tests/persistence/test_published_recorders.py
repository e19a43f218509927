"""The `eventsourcing` library's own published test cases for recorders, unchanged, over our log."""

from __future__ import annotations

import os
from unittest import TestCase

from eventsourcing.persistence import (
    AggregateRecorder,
    ApplicationRecorder,
    ProcessRecorder,
    TrackingRecorder,
)
from eventsourcing.tests import persistence as published
from eventsourcing.utils import Environment

from eventstore.persistence import (
    JetStreamAggregateRecorder,
    JetStreamApplicationRecorder,
    JetStreamFactory,
    JetStreamProcessRecorder,
    JetStreamTrackingRecorder,
)


class _OverOurLog(TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.factory = JetStreamFactory(Environment("app", dict(os.environ)))

    def tearDown(self) -> None:
        self.factory.close()
        super().tearDown()


class _TextIds:
    """The same cases with originator ids that are no subject tokens."""

    number = 0

    def new_originator_id(self) -> str:
        type(self).number += 1
        return f"kunde/Jürgen Groß_{self.number}.>*"


class TestAggregateRecorder(_OverOurLog, published.AggregateRecorderTestCase):
    def create_recorder(self) -> AggregateRecorder:
        return self.factory.aggregate_recorder()


class TestAggregateRecorderFromVersion0(TestAggregateRecorder):
    INITIAL_VERSION = 0


class TestAggregateRecorderWithTextIds(_TextIds, TestAggregateRecorder):
    pass


class TestSnapshotRecorder(TestAggregateRecorder):
    def create_recorder(self) -> AggregateRecorder:
        return self.factory.aggregate_recorder(purpose="snapshots")


class TestApplicationRecorder(_OverOurLog, published.ApplicationRecorderTestCase):
    def create_recorder(self) -> ApplicationRecorder:
        return self.factory.application_recorder()

    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


class TestApplicationRecorderFromVersion0(TestApplicationRecorder):
    INITIAL_VERSION = 0


class TestApplicationRecorderWithTextIds(_TextIds, TestApplicationRecorder):
    pass


class TestNonInterleavingNotificationIds(_OverOurLog, published.NonInterleavingNotificationIDsBaseCase):
    def create_recorder(self) -> ApplicationRecorder:
        return self.factory.application_recorder()


class TestTrackingRecorder(_OverOurLog, published.TrackingRecorderTestCase):
    def create_recorder(self) -> TrackingRecorder:
        return self.factory.tracking_recorder()


class TestProcessRecorder(_OverOurLog, published.ProcessRecorderTestCase):
    def create_recorder(self) -> ProcessRecorder:
        return self.factory.process_recorder()


class TestProcessRecorderAsApplicationRecorder(_OverOurLog, published.ApplicationRecorderTestCase):
    """Without tracking a process recorder is an application recorder, ids without gaps included."""

    def create_recorder(self) -> ApplicationRecorder:
        return self.factory.process_recorder()

    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


class OurTrackingRecorder(JetStreamTrackingRecorder):
    """What an application may derive."""


class TestInfrastructureFactory(published.InfrastructureFactoryTestCase[JetStreamFactory]):
    def setUp(self) -> None:
        self.env = Environment("TestCase", dict(os.environ))
        super().setUp()

    def expected_factory_class(self) -> type[JetStreamFactory]:
        return JetStreamFactory

    def expected_aggregate_recorder_class(self) -> type[AggregateRecorder]:
        return JetStreamAggregateRecorder

    def expected_application_recorder_class(self) -> type[ApplicationRecorder]:
        return JetStreamApplicationRecorder

    def expected_tracking_recorder_class(self) -> type[TrackingRecorder]:
        return JetStreamTrackingRecorder

    def tracking_recorder_subclass(self) -> type[TrackingRecorder]:
        return OurTrackingRecorder

    def expected_process_recorder_class(self) -> type[ProcessRecorder]:
        return JetStreamProcessRecorder
