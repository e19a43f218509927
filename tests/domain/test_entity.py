"""Values of features, with the time at which they were true."""

from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest

from domain.entity import FeaturesRecorded, RecordFeatures, entity
from tests.scenario import Scenario

noon = datetime(2026, 11, 21, 12, tzinfo=UTC)


def test_values_are_recorded_with_the_time_at_which_they_were_true():
    record = RecordFeatures({"spend": 12.5, "vip": True}, noon, "billing", 0.9)
    recorded = FeaturesRecorded({"spend": 12.5, "vip": True}, noon, "billing", 0.9)
    Scenario(entity).when(record).then(recorded)
    Scenario(entity).given(recorded).when(record).then(recorded)


def test_times_are_kept_in_utc():
    given = noon.astimezone(timezone(timedelta(hours=5)))
    (recorded,) = entity.decide(RecordFeatures({"a": None}, given), entity.initial)
    assert recorded.timestamp.utcoffset() == timedelta(0)
    assert recorded.timestamp == noon


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"])
def test_a_time_that_not_every_zone_has_is_refused(time):
    record = msgspec.convert({"type": "entity.record_features", "values": {"a": 1}, "timestamp": time}, RecordFeatures)
    Scenario(entity).when(record).refused("timestamp_out_of_range")


def test_a_time_without_a_zone_is_none():
    with pytest.raises(msgspec.ValidationError, match="timezone"):
        msgspec.json.decode(
            b'{"type":"entity.record_features","values":{"a":1},"timestamp":"2026-11-21T12:00:00"}', type=RecordFeatures
        )
