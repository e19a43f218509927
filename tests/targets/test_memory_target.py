"""The target in memory keeps every promise of the port, so property tests of sagas may rely on it."""

import pytest

from sagas.targets.port import Release, TargetUnavailable
from tests.targets.contract import Place, TargetContract
from tests.targets.memory_target import MemoryTarget


class TestMemoryTarget(TargetContract):
    @pytest.fixture
    def place(self) -> Place:
        return Place(MemoryTarget(), "t", Release("good"), Release("sick"), Release("dying"))


async def test_an_interruption_after_the_effect_leaves_it_kept():
    def interrupt(*_: str) -> None:
        raise TargetUnavailable("gone")

    target = MemoryTarget(after=interrupt)
    with pytest.raises(TargetUnavailable):
        await target.allocate("a")
    assert (await target.effect("a")).state == "kept"
    assert target.acts == [("allocate", "a")]
