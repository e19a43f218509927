from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.targets.hosts import Host


@pytest.fixture(scope="module")
def shared_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """One host for all tests of a module that do not harm it."""
    host = Host(tmp_path_factory.mktemp("shared") / "host").start(SAGACITY_SECRET="hush")
    yield host
    assert host.stop() == 0
    assert host.processes() == []
    host.close()


@pytest.fixture
def new_host(tmp_path: Path) -> Iterator[Callable[[], Host]]:
    """Makes hosts of a test's own."""
    made: list[Host] = []

    def make(data: Path = tmp_path / "host") -> Host:
        made.append(Host(data))
        return made[-1]

    yield make
    for host in made:
        host.close()
