from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import asynccontextmanager

import httpx
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.app import asgi
from api.live import Live
from api.services import Services
from api.serving import serve
from eventstore.blobs import Blobs
from eventstore.errors import LogUnavailable
from eventstore.tasks import end_tasks
from models.serve.predictions import Predictions
from models.serve.serving import Predictor
from projections.queries import ReadModels
from projections.read_models import READ_MODELS
from sagacity.embedded.directory import free_port
from sagas.targets.port import TargetUnavailable
from tests.projections.platform import projecting
from tests.up import Up, running_platform

DISCORD_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
SECRETS = {
    "WHATSAPP_SECRET": "app secret",
    "WHATSAPP_VERIFY": "a word of ours",
    "TELEGRAM_SECRET": "secret_token-1",
    "DISCORD_KEY": DISCORD_KEY.public_key().public_bytes_raw().hex(),
    "BEARER": "open-sesame",
}
"""Variables of the platform's environment, which sources name."""


@pytest.fixture(scope="package")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SECRETS.items():
            patch.setenv(name, value)
        with running_platform(tmp_path_factory.mktemp("up")) as up:
            _wait_for_tables(up.url)
            yield up


def _wait_for_tables(url: str) -> None:
    """On a busy machine it may be ready for commands some time before there is anything to ask."""
    deadline = time.monotonic() + 60
    while httpx.get(f"{url}/api/v1/organizations").status_code != 200:
        assert time.monotonic() < deadline, "no read models in time"
        time.sleep(0.05)


@pytest.fixture
def http(platform: Up) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=platform.url, headers={"X-Actor": "ann"}, timeout=30) as client:
        yield client


class Api:
    """The application as granian serves it, in this process."""

    def __init__(self, services, url, stop, serving, target):
        self.services, self.url, self.stop, self.serving, self.target = services, url, stop, serving, target


class Output:
    """What a release wrote; None while its target is away."""

    lines = None

    async def __call__(self, deployment, after, limit):
        if self.lines is None:
            raise TargetUnavailable("it is away")
        return self.lines[after : after + limit]


async def no_inbox(raw):
    raise LogUnavailable("it is away")


@pytest_asyncio.fixture
async def api(own_nats, database_url):
    async with serving_api(own_nats.url, database_url) as api:
        yield api


@asynccontextmanager
async def serving_api(nats_url, database_url):
    async with projecting(nats_url, database_url) as platform, platform.running():
        core, live = platform.core, Live(platform.core.store)
        models = ReadModels(platform.pool, core.store, READ_MODELS)
        target = Output()
        blobs, predictions = Blobs(core.connection), Predictions(core.connection)
        predictor = Predictor(core.store, core.aggregates, blobs, predictions)
        services = Services(core.store, core.handler, models, platform.pool, live, target, no_inbox, blobs, predictor)
        port, stop = free_port(), asyncio.Event()
        following = [asyncio.create_task(each) for each in (live.run(), predictor.run())]
        serving = asyncio.create_task(serve(asgi(services), "127.0.0.1", port, stop))
        api = Api(services, f"http://127.0.0.1:{port}", stop, serving, target)
        async with asyncio.timeout(10):
            while not await _answers(api.url):
                await asyncio.sleep(0.02)
        yield api
        stop.set()
        await asyncio.wait_for(serving, 10)
        await end_tasks(*following)
        await predictions.close()


async def _answers(url):
    try:
        async with httpx.AsyncClient() as client:
            return (await client.get(f"{url}/health/startup")).status_code == 200
    except httpx.HTTPError:
        return False
