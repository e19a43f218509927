"""What every target promises. An implementation subclasses `TargetContract` and gives the fixture `place`."""

import asyncio
from dataclasses import dataclass

import pytest

from sagas.targets.port import Allocation, Effect, Release, ReleaseFailed, Target, TargetRefused


@dataclass(frozen=True)
class Place:
    """A target with releases that it can run; `name` makes keys and fronts of a test its own."""

    target: Target
    name: str
    good: Release
    sick: Release
    dying: Release

    def key(self, key: str) -> str:
        return f"{self.name}-{key}"

    async def run(self, number: str, release: Release | None = None) -> str:
        """Allocate and start; answers the start key."""
        await self.target.allocate(self.key(f"{number}-allocate"))
        start = self.key(f"{number}-start")
        await self.target.start(start, self.key(f"{number}-allocate"), release or self.good)
        return start

    async def runs(self) -> list[str]:
        return [run.start_key for run in await self.target.inventory() if run.start_key.startswith(f"{self.name}-")]

    async def leads_to(self) -> str | None:
        front = await self.target.front(self.key("front"))
        assert front is not None
        return front.to


class TargetContract:
    async def test_a_release_that_can_run_is_valid(self, place: Place):
        await place.target.validate(place.good)

    async def test_an_unknown_program_is_refused(self, place: Place):
        with pytest.raises(TargetRefused, match="no program"):
            await place.target.validate(Release("no-such-program"))

    async def test_every_allocation_has_a_port_of_its_own(self, place: Place):
        ports = [await place.target.allocate(place.key(f"a{n}")) for n in range(5)]
        assert len({allocation.port for allocation in ports}) == 5

    async def test_doing_a_key_again_answers_the_same_and_acts_once(self, place: Place):
        allocate, start = place.key("allocate"), place.key("start")
        assert await place.target.allocate(allocate) == await place.target.allocate(allocate)
        first = await place.target.start(start, allocate, place.good)
        running = await place.target.inventory()
        assert await place.target.start(start, allocate, place.good) == first
        assert await place.target.inventory() == running

    async def test_many_callers_with_one_key_have_one_effect(self, place: Place):
        allocate = place.key("allocate")
        ports = await asyncio.gather(*(place.target.allocate(allocate) for _ in range(5)))
        assert len(set(ports)) == 1
        urls = await asyncio.gather(*(place.target.start(place.key("start"), allocate, place.good) for _ in range(5)))
        assert len(set(urls)) == 1
        assert await place.runs() == [place.key("start")]

    async def test_a_key_names_one_effect_only(self, place: Place):
        start = await place.run("a")
        with pytest.raises(TargetRefused, match="another effect"):
            await place.target.start(start, place.key("a-allocate"), place.sick)
        with pytest.raises(TargetRefused, match="another effect"):
            await place.target.allocate(start)
        with pytest.raises(TargetRefused, match="does not undo"):
            await place.target.free(start)

    @pytest.mark.parametrize("undo", ["free", "stop", "switch_back", "unretire"])
    async def test_undoing_what_was_never_done_leaves_a_tombstone(self, place: Place, undo: str):
        """A delayed `do` that arrives after its own undo must have no effect."""
        start = await place.run("a")
        key = place.key("late")
        await getattr(place.target, undo)(key)
        await getattr(place.target, undo)(key)
        assert (await place.target.effect(key)).state == "undone"
        late = {
            "free": lambda: place.target.allocate(key),
            "stop": lambda: place.target.start(key, place.key("a-allocate"), place.good),
            "switch_back": lambda: place.target.switch(key, place.key("front"), start),
            "unretire": lambda: place.target.retire(key, start),
        }
        with pytest.raises(TargetRefused, match="undone"):
            await late[undo]()
        assert await place.runs() == [start]
        assert await place.target.front(place.key("front")) is None

    async def test_what_was_undone_cannot_be_done_again(self, place: Place):
        start = await place.run("a")
        await place.target.stop(start)
        with pytest.raises(TargetRefused, match="undone"):
            await place.target.start(start, place.key("a-allocate"), place.good)
        assert await place.runs() == []

    async def test_the_effect_of_a_key_can_be_asked_for(self, place: Place):
        key = place.key("a-allocate")
        assert await place.target.effect(key) == Effect("absent")
        port = (await place.target.allocate(key)).port
        assert await place.target.effect(key) == Effect("kept", port=port)
        await place.target.free(key)
        assert await place.target.effect(key) == Effect("undone")

    async def test_a_release_that_exits_at_once_has_failed_and_leaves_nothing(self, place: Place):
        with pytest.raises(ReleaseFailed, match="exited with code"):
            await place.run("a", place.dying)
        assert (await place.target.effect(place.key("a-start"))).state == "absent"
        assert await place.runs() == []

    async def test_a_start_needs_an_allocation_of_its_own(self, place: Place):
        with pytest.raises(TargetRefused, match="no port is allocated"):
            await place.target.start(place.key("b"), place.key("nothing"), place.good)
        await place.run("a")
        with pytest.raises(TargetRefused, match="belongs to"):
            await place.target.start(place.key("b"), place.key("a-allocate"), place.good)

    async def test_a_port_in_use_is_not_freed(self, place: Place):
        start = await place.run("a")
        with pytest.raises(TargetRefused, match="still runs"):
            await place.target.free(place.key("a-allocate"))
        await place.target.stop(start)
        await place.target.free(place.key("a-allocate"))

    async def test_health_is_what_the_release_says(self, place: Place):
        good, sick = await place.run("a"), await place.run("b", place.sick)
        assert (await place.target.health(good)).healthy
        health = await place.target.health(sick)
        assert health.answered
        assert not health.healthy

    async def test_a_stopped_release_does_not_answer(self, place: Place):
        start = await place.run("a")
        await place.target.retire(place.key("retire"), start)
        health = await place.target.health(start)
        assert (health.healthy, health.answered) == (False, False)

    async def test_the_health_of_an_unknown_release_is_refused(self, place: Place):
        with pytest.raises(TargetRefused, match="no release"):
            await place.target.health(place.key("nobody"))

    async def test_a_front_keeps_its_url_while_it_switches(self, place: Place):
        old, new = await place.run("a"), await place.run("b")
        url = await place.target.switch(place.key("a-switch"), place.key("front"), old)
        assert await place.target.switch(place.key("b-switch"), place.key("front"), new) == url
        assert await place.leads_to() == new
        assert (await place.target.effect(place.key("b-switch"))).previous == old

    async def test_switching_back_restores_what_was(self, place: Place):
        old, new = await place.run("a"), await place.run("b")
        await place.target.switch(place.key("a-switch"), place.key("front"), old)
        await place.target.switch(place.key("b-switch"), place.key("front"), new)
        await place.target.switch_back(place.key("b-switch"))
        assert await place.leads_to() == old
        await place.target.switch_back(place.key("a-switch"))
        assert await place.leads_to() is None

    async def test_a_later_switch_stands_when_an_earlier_one_is_undone(self, place: Place):
        old, new = await place.run("a"), await place.run("b")
        await place.target.switch(place.key("a-switch"), place.key("front"), old)
        await place.target.switch(place.key("b-switch"), place.key("front"), new)
        await place.target.switch_back(place.key("a-switch"))
        assert await place.leads_to() == new
        await place.target.switch_back(place.key("b-switch"))
        assert await place.leads_to() is None

    async def test_a_front_never_leads_to_what_does_not_run(self, place: Place):
        start = await place.run("a")
        await place.target.retire(place.key("retire"), start)
        with pytest.raises(TargetRefused, match="not running"):
            await place.target.switch(place.key("switch"), place.key("front"), start)
        with pytest.raises(TargetRefused, match="no release"):
            await place.target.switch(place.key("switch"), place.key("front"), place.key("nobody"))

    async def test_unretiring_starts_the_same_release_at_the_same_port(self, place: Place):
        start = await place.run("a")
        [before] = [run.port for run in await place.target.inventory() if run.start_key == start]
        await place.target.retire(place.key("retire"), start)
        assert await place.runs() == []
        await place.target.unretire(place.key("retire"))
        [after] = [run.port for run in await place.target.inventory() if run.start_key == start]
        assert after == before
        assert (await place.target.health(start)).healthy

    async def test_retiring_what_is_retired_is_undone_to_what_it_was(self, place: Place):
        start = await place.run("a")
        await place.target.retire(place.key("first"), start)
        await place.target.retire(place.key("second"), start)
        await place.target.unretire(place.key("second"))
        assert await place.runs() == []

    async def test_what_was_never_here_is_retired(self, place: Place):
        """The log may have been restored to another machine: it must be possible to deploy there."""
        await place.target.retire(place.key("retire"), place.key("elsewhere"))
        assert (await place.target.effect(place.key("retire"))).previous is None
        await place.target.unretire(place.key("retire"))
        assert await place.runs() == []

    async def test_a_stopped_release_is_not_unretired(self, place: Place):
        start = await place.run("a")
        await place.target.retire(place.key("retire"), start)
        await place.target.stop(start)
        with pytest.raises(TargetRefused, match="no release"):
            await place.target.unretire(place.key("retire"))
        assert await place.runs() == []

    @pytest.mark.parametrize("key", ["", "a b", "a/b", "../x", "ä", "x" * 201, "a\n"])
    async def test_a_key_is_one_safe_word(self, place: Place, key: str):
        with pytest.raises(TargetRefused, match="key"):
            await place.target.allocate(key)

    async def test_an_allocation_says_its_port(self, place: Place):
        assert isinstance(await place.target.allocate(place.key("a")), Allocation)
