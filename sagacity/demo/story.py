"""The story: a service is deployed, updated under traffic, updated with a broken release, and the platform is hit.

Each chapter says what must come out; the story is true only when every one did.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, NamedTuple

from sagacity.demo.platform import Platform
from sagacity.demo.traffic import Traffic

SHOP = Path(__file__).parent / "shop" / "shop.py"
RELEASES = ("1.0", "1.1", "1.2", "1.3")


class Claim(NamedTuple):
    """Something the story says; `holds` is whether it came out so."""

    text: str
    holds: bool


Tell = Callable[[str], None]
Watch = Callable[[str], Coroutine[Any, Any, dict[str, Any]]]
"""Shows a deployment's timeline while it runs; its final state."""


class Shop(NamedTuple):
    """The names of this telling: another one on the same data gets others."""

    platform: Platform
    stack: str
    environment: str

    @property
    def front(self) -> str:
        """The name of its traffic entry on the target."""
        return f"{self.environment}--{self.stack}"

    def id_of(self, name: str) -> str:
        """The deployment of a version, or of another name."""
        return f"{self.stack}-{name.replace('.', '-')}"

    async def publish(self, version: str) -> None:
        release = {"program": sys.executable, "arguments": [str(SHOP), "--release", version]}
        await self.platform.command("stack.publish_version", self.stack, {"version": version, "release": release})

    async def deploy(self, version: str, name: str = "", **more: Any) -> str:
        """Request a deployment, called after its version if it has no name of its own; its id."""
        id = self.id_of(name or version)
        request = {"stack_id": self.stack, "environment_id": self.environment, "version": version, **more}
        await self.platform.command("deployment.request", id, request)
        return id


async def prepare(platform: Platform, run: str, tell: Tell) -> Shop:
    """An organization, an environment with this machine as its target, and a stack with four versions."""
    tell("An organization, an environment and a stack with four versions are put on the record")
    organization, environment, stack = f"acme-{run}", f"production-{run}", f"shop-{run}"
    await platform.command("organization.register", organization, {"name": "Acme"})
    await platform.command(
        "environment.register",
        environment,
        {
            "name": "Production",
            "organization_id": organization,
            "environment_type": "production",
            "targets": [{"name": "local", "kind": "process"}],
        },
    )
    await platform.command("stack.register", stack, {"name": "Shop", "organization_id": organization})
    shop = Shop(platform, stack, environment)
    for version in RELEASES:
        await shop.publish(version)
    return shop


async def first_release(shop: Shop, watch: Watch, tell: Tell) -> tuple[str, list[Claim]]:
    tell("Version 1.0 is deployed")
    outcome = await watch(await shop.deploy("1.0"))
    return outcome.get("url") or "", [Claim("1.0 is completed", outcome["status"] == "completed")]


async def update_under_traffic(shop: Shop, traffic: Traffic, watch: Watch, tell: Tell) -> list[Claim]:
    await traffic.seen("1.0")
    tell("Version 1.1 is deployed while requests keep coming")
    outcome = await watch(await shop.deploy("1.1"))
    seen = await traffic.seen("1.1")
    return [
        Claim("1.1 is completed", outcome["status"] == "completed"),
        Claim(f"1.1 answers now; {traffic.total} requests, {traffic.failed} failed", seen and not traffic.failed),
    ]


async def broken_release(shop: Shop, traffic: Traffic, watch: Watch, tell: Tell) -> list[Claim]:
    tell("Version 1.2 is deployed: it starts, and then answers its health check with errors")
    outcome = await watch(await shop.deploy("1.2"))
    untouched = not traffic.answered["1.2"] and not traffic.failed
    return [
        Claim("1.2 is rolled back by itself", outcome["status"] == "rolled_back"),
        Claim(f"traffic never saw 1.2; {traffic.total} requests, {traffic.failed} failed", untouched),
    ]


async def crash_in_the_middle(
    shop: Shop, traffic: Traffic, watch: Watch, tell: Tell, roles_pid: Callable[[], int]
) -> list[Claim]:
    tell("Version 1.3 is deployed, and in the middle of it the process with API, projections and sagas is killed -9")
    id = await shop.deploy("1.3", policy={"healthy_checks": 10, "health_interval": 0.2})
    await until_started(shop.platform, id)
    victim = roles_pid()
    os.kill(victim, signal.SIGKILL)
    tell(f"killed process {victim}")
    outcome = await watch(id)
    seen = await traffic.seen("1.3")
    return [
        Claim("a new process took over", roles_pid() != victim),
        Claim("1.3 is completed all the same", outcome["status"] == "completed"),
        Claim(f"1.3 answers; {traffic.total} requests, {traffic.failed} failed", seen and not traffic.failed),
    ]


async def on_the_record(shop: Shop) -> list[Claim]:
    """The log and the read models tell the same story."""
    outcomes = {
        "1.0": "deployment.completed",
        "1.1": "deployment.completed",
        "1.2": "deployment.rolled_back",
        "1.3": "deployment.completed",
        "1.4": "deployment.rolled_back",
        "1.5": "deployment.rolled_back",
        "1.6": "deployment.completed",
        "1.7": "deployment.rolled_back",
        "moved": "deployment.completed",
    }
    holds = True
    for version, last in outcomes.items():
        history = await shop.platform.history("deployment", shop.id_of(version))
        holds = holds and history[-1]["type"] == last
    sagas = await shop.platform.open_sagas()
    return [
        Claim("the log holds every outcome as it was shown", holds),
        Claim("no saga is left open", sagas == 0),
    ]


async def until_started(platform: Platform, id: str) -> None:
    """Until the new release runs and is not yet in traffic."""
    async with asyncio.timeout(60):
        while True:
            history = await platform.history("deployment", id)
            if any(event["type"] == "deployment.step_completed" and _step(event) == "start" for event in history):
                return
            await asyncio.sleep(0.02)


def _step(event: dict[str, Any]) -> str:
    return event["data"]["step"]
