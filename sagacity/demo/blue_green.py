"""Blue/green: the new release takes all the traffic at once, and the old one is kept, so that it is back at once."""

from __future__ import annotations

import asyncio
import time

from eventstore.tasks import end_tasks
from sagacity.demo.stage import Stage, settled
from sagacity.demo.story import Claim


async def back_at_once(stage: Stage) -> list[Claim]:
    stage.tell(
        "Version 1.7 goes out blue/green: it gets all the traffic at once, and 1.6 is kept running\n"
        "Its prices are in euros where cents belong. No check and no metric sees that; a person does, and cancels."
    )
    shop, traffic = stage.shop, stage.traffic
    await shop.publish("1.7")
    failed, kept = traffic.failed, await stage.running()
    id = await shop.deploy("1.7", strategy={"kind": "blue_green", "keep": 60})
    watching = asyncio.create_task(stage.watch(id))
    try:
        seen = await traffic.seen("1.7", 200)
        cancelled = time.monotonic()
        await shop.platform.command("deployment.cancel", id, {"reason": "the prices are wrong"})
        outcome = await watching
    finally:
        await end_tasks(watching)
    took = max(0.0, traffic.last.get("1.7", cancelled) - cancelled)
    return [
        Claim(f"1.7 had all the traffic; {1000 * took:.0f} ms after the cancellation it gets none", seen and took < 5),
        Claim(
            f"1.7 is rolled back, and 1.6 never stopped; {traffic.failed - failed} requests failed meanwhile",
            outcome["status"] == "rolled_back" and await stage.running() == kept and traffic.failed == failed,
        ),
        await settled(stage, "1.6"),
    ]
