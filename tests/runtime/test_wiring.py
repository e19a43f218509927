"""Which implementation of the target port a target of an environment gets."""

import pytest

from domain.environment import Target
from sagacity.wiring import targets
from sagas.targets.port import TargetRefused


def test_targets_of_one_kind_and_the_same_settings_are_one_place(tmp_path):
    target_of = targets(tmp_path)
    assert target_of(Target("blue")) is target_of(Target("green"))


def test_a_kind_that_nobody_implements_is_refused(tmp_path):
    with pytest.raises(TargetRefused, match="there is no target kind 'moon'; known: process"):
        targets(tmp_path)(Target("local", "moon"))


def test_settings_that_nobody_reads_are_refused_all_at_once_whatever_was_opened_before(tmp_path):
    target_of = targets(tmp_path)
    target_of(Target("local"))
    with pytest.raises(TargetRefused) as refused:
        target_of(Target("local", settings={"host": "b", "cpu": "2"}))
    assert refused.value.faults == (
        "a process target has no setting 'cpu'",
        "the setting 'host' of a process target is no absolute path",
    )


def test_two_process_hosts_are_two_places(tmp_path):
    target_of = targets(tmp_path)
    other = target_of(Target("other", settings={"host": str(tmp_path / "other")}))
    assert other is not target_of(Target("local"))
