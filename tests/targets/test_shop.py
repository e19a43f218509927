"""The demo's shop, run as the demo runs it: as a release of a process target."""

import json
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

import sagacity.demo.shop
from sagacity.demo.traffic import Traffic
from sagas.targets.port import Release
from tests.targets.hosts import Host, browser, until

SHOP = str(Path(sagacity.demo.shop.__file__).with_name("shop.py"))


async def run(host: Host, release: str) -> tuple[str, str]:
    """Answers the start key and the URL."""
    key = uuid.uuid4().hex[:8]
    await host.target.allocate(f"{key}-allocate")
    shop = Release(sys.executable, (SHOP, "--release", release))
    return f"{key}-start", await host.target.start(f"{key}-start", f"{key}-allocate", shop)


@pytest.mark.parametrize("release", ["1.0", "1.1", "1.3", "1.4", "1.6"])
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
            shown = await answer.json()
            assert shown.items() >= {"release": release, **teas[0]}.items()
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


async def pages(url: str) -> dict[str, tuple[int, dict[str, Any]]]:
    """Status and body of every product's page."""
    async with browser() as session:
        async with session.get(f"{url}/products") as answer:
            ids = [product["id"] for product in (await answer.json())["products"]]
        found = {}
        for id in ids:
            async with session.get(f"{url}/products/{id}") as answer:
                found[id] = answer.status, await answer.json()
    return found


async def test_release_1_4_is_never_wrong_and_shows_similar_products(shared_host: Host):
    _, url = await run(shared_host, "1.4")
    found = await pages(url)
    assert {status for status, _ in found.values()} == {200}
    assert len(found) == 50
    assert all(len(page["similar"]) == 3 and id not in page["similar"] for id, (_, page) in found.items())


async def test_release_1_5_is_healthy_and_wrong_in_one_answer_of_fifty(shared_host: Host):
    key, url = await run(shared_host, "1.5")
    assert (await shared_host.target.health(key)).healthy
    found = await pages(url)
    wrong = {id: page for id, (status, page) in found.items() if status == 500}
    assert wrong == {"kettle-gooseneck": {"error": "internal error", "release": "1.5"}}
    assert {status for status, _ in found.values()} == {200, 500}
    assert len(found) == 50
    texts = [line.text for line in await shared_host.target.logs(key)]
    assert any(text.startswith("TypeError") for text in texts)


async def test_release_1_6_computes_every_discount(shared_host: Host):
    _, url = await run(shared_host, "1.6")
    found = await pages(url)
    assert {status for status, _ in found.values()} == {200}
    to_pay = {id: page["to_pay_cents"] for id, (_, page) in found.items()}
    assert (to_pay["tea-sencha"], to_pay["coffee-huila"], to_pay["kettle-gooseneck"]) == (1161, 1190, 5865)


async def test_the_demos_traffic_tells_wrong_answers_of_a_release_from_lost_requests(shared_host: Host):
    key, url = await run(shared_host, "1.5")
    async with Traffic(url, clients=4, interval=0.001) as traffic:
        assert await traffic.seen("1.5", 8)
        await traffic.browse()
        assert await traffic.seen("1.5", 300)
        assert traffic.wrong.keys() == {"1.5"}
        assert traffic.lost == []
        assert traffic.failed == traffic.wrong["1.5"] < traffic.answered["1.5"] / 10
        await shared_host.target.stop(key)
        await until(lambda: lost(traffic))
    assert traffic.total == traffic.answered["1.5"] + traffic.wrong["1.5"] + len(traffic.lost)


async def lost(traffic: Traffic) -> bool:
    return len(traffic.lost) > 3


async def test_it_closes_in_order_when_told(shared_host: Host):
    key, _ = await run(shared_host, "1.0")
    await shared_host.target.stop(key)
    texts = [line.text for line in await shared_host.target.logs(key)]
    assert texts[0].startswith("shop 1.0 listens on port")
    assert texts[-1] == "shop 1.0 has closed"
