"""The demo's shop, run as the demo runs it: as a release of a process target."""

import json
import sys
import uuid
from pathlib import Path

import pytest

import sagacity.demo.shop
from sagas.targets.port import Release
from tests.targets.hosts import Host, browser

SHOP = str(Path(sagacity.demo.shop.__file__).with_name("shop.py"))


async def run(host: Host, release: str) -> tuple[str, str]:
    """Answers the start key and the URL."""
    key = uuid.uuid4().hex[:8]
    await host.target.allocate(f"{key}-allocate")
    shop = Release(sys.executable, (SHOP, "--release", release))
    return f"{key}-start", await host.target.start(f"{key}-start", f"{key}-allocate", shop)


@pytest.mark.parametrize("release", ["1.0", "1.1", "1.3"])
async def test_a_good_release_is_healthy_and_sells(shared_host: Host, release: str):
    key, url = await run(shared_host, release)
    assert (await shared_host.target.health(key)).healthy
    async with browser() as session:
        async with session.get(url) as answer:
            front = await answer.json()
            assert (front["service"], front["release"]) == ("shop", release)
        async with session.get(f"{url}/products?category=tea") as answer:
            teas = (await answer.json())["products"]
            assert {tea["category"] for tea in teas} == {"tea"}
        async with session.get(f"{url}/products/{teas[0]['id']}") as answer:
            assert await answer.json() == {"release": release, **teas[0]}
        async with session.get(f"{url}/products/none") as answer:
            assert answer.status == 404


async def test_release_1_2_starts_and_answers_its_health_check_with_errors(shared_host: Host):
    """Its catalogue has the prices in another form than the program reads."""
    key, url = await run(shared_host, "1.2")
    health = await shared_host.target.health(key)
    assert health.answered
    assert not health.healthy
    assert "price_cents missing or of the wrong type" in health.detail
    async with browser() as session, session.get(f"{url}/health") as answer:
        assert answer.status == 500
        assert len(json.loads(await answer.text())["faults"]) == 8


async def test_it_closes_in_order_when_told(shared_host: Host):
    key, _ = await run(shared_host, "1.0")
    await shared_host.target.stop(key)
    texts = [line.text for line in await shared_host.target.logs(key)]
    assert texts[0].startswith("shop 1.0 listens on port")
    assert texts[-1] == "shop 1.0 has closed"
