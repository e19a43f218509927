from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.up import Up, running_platform


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with running_platform(tmp_path_factory.mktemp("up")) as up:
        yield up


@pytest.fixture
def http(platform: Up) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=platform.url, headers={"X-Actor": "ann"}, timeout=30) as client:
        yield client
