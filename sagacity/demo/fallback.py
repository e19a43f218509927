"""Another target when the first one dies: the same deployment goes on elsewhere, and tidies up later."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from eventstore.tasks import end_tasks
from sagacity.demo.stage import Stage
from sagacity.demo.story import Claim, until_started
from sagacity.embedded.directory import DataDirectory
from sagacity.embedded.service import Child, Service
from sagas.targets.port import TargetUnavailable
from sagas.targets.process import ProcessTarget

TARGET = "second"


@asynccontextmanager
async def process_host(directory: DataDirectory) -> AsyncGenerator[tuple[Child, Path]]:
    """A second one beside the platform's own; (the process, its data directory). Raises StartFailed."""
    place = directory.path / "second-process-host"
    target = ProcessTarget(place)

    async def ready() -> bool:
        try:
            await target.inventory()
        except TargetUnavailable:
            return False
        return True

    command = (sys.executable, "-m", "sagas.targets.process.host", "--data", str(place))
    child = Child(Service("second-process-host", command, ready, grace=30.0), directory.run, directory.logs)
    try:
        await child.start()
        yield child, place
    finally:
        await child.stop()


async def another_target(stage: Stage, directory: DataDirectory) -> list[Claim]:
    stage.tell(
        "A second target joins the environment, and 1.6 is to move there; in the middle of it its process host is"
        " killed -9"
    )
    async with process_host(directory) as (host, place):
        return await _moved(stage, host, place)


async def _moved(stage: Stage, host: Child, place: Path) -> list[Claim]:
    shop, traffic = stage.shop, stage.traffic
    target = {"name": TARGET, "settings": {"host": str(place)}, "circuit": {"failures": 3, "recovery": 10}}
    await shop.platform.command("environment.add_target", shop.environment, {"target": target})
    failed = traffic.failed
    patient = {"healthy_checks": 10, "health_interval": 0.2}
    id = await shop.deploy("1.6", name="moved", targets=[TARGET, "local"], policy=patient)
    watching = asyncio.create_task(stage.watch(id))
    try:
        await until_started(shop.platform, id)
        os.kill(host.pid, signal.SIGKILL)
        await host.wait()
        stage.tell(f"killed process {host.pid}")
        outcome = await watching
    finally:
        await end_tasks(watching)
    stage.tell("The second process host comes back")
    await host.start()
    tidy = await _tidied(stage, ProcessTarget(place))
    return [
        Claim(
            f"attempt {outcome['attempt']} of the same deployment completed on {outcome['target']}",
            (outcome["status"], outcome["attempt"], outcome["target"]) == ("completed", 2, "local"),
        ),
        Claim(f"{traffic.total} requests in all, {traffic.failed - failed} failed meanwhile", traffic.failed == failed),
        Claim("what the first attempt had left on the second target is undone", tidy),
    ]


async def _tidied(stage: Stage, target: ProcessTarget, timeout: float = 60.0) -> bool:
    """Wait until nothing is left there and the saga has ended; False when it does not come to that (seconds)."""
    try:
        async with asyncio.timeout(timeout):
            while await stage.shop.platform.open_sagas() or await target.inventory():
                await asyncio.sleep(0.2)
    except TimeoutError:
        return False
    return True
