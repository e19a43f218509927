"""Where the chapters about traffic play, and what must be so after each of them."""

from __future__ import annotations

from typing import NamedTuple

from sagacity.demo.story import Claim, Shop, Tell, Watch
from sagacity.demo.traffic import Traffic
from sagas.course import effect_key
from sagas.targets.port import Target


class Stage(NamedTuple):
    """`target` is asked what really runs and who really has the traffic."""

    shop: Shop
    traffic: Traffic
    target: Target
    watch: Watch
    tell: Tell

    def start_key(self, version: str) -> str:
        """The name of a version's only instance on the target."""
        return effect_key(self.shop.id_of(version), "start")

    async def running(self) -> dict[str, int | None]:
        """Process ids of everything of this shop that runs on the target, by start key."""
        everything = await self.target.inventory()
        mine = f"{self.shop.stack}-"
        return {release.start_key: release.pid for release in everything if release.start_key.startswith(mine)}


async def settled(stage: Stage, live: str) -> Claim:
    """The traffic is where the outcome says, and so is what runs."""
    key = stage.start_key(live)
    front = await stage.target.front(stage.shop.front)
    alone = front is not None and front.weights == {key: 1} and list(await stage.running()) == [key]
    text = f"{live} has all the traffic, and nothing else runs any more"
    return Claim(text, alone and await _only(stage.traffic, live))


async def _only(traffic: Traffic, live: str, requests: int = 100) -> bool:
    """Whether the next answers are all of this release."""
    others, mine = traffic.total - traffic.answered[live], traffic.answered[live]
    await traffic.seen(live, mine + requests)
    return traffic.total - traffic.answered[live] == others
