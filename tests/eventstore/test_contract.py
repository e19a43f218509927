"""The contract, on one node and on a cluster of three with three replicas."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.eventstore.contract import EventStoreContract
from tests.eventstore.log import Log, fresh_log
from tests.eventstore.servers import Servers


class TestOneNode(EventStoreContract):
    @pytest_asyncio.fixture
    async def log(self, one_node: Servers) -> AsyncIterator[Log]:
        async with fresh_log(one_node) as log:
            yield log


class TestThreeNodes(EventStoreContract):
    @pytest_asyncio.fixture
    async def log(self, three_nodes: Servers) -> AsyncIterator[Log]:
        async with fresh_log(three_nodes) as log:
            yield log
