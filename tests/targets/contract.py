"""What every target promises. An implementation subclasses `TargetContract` and gives the fixture `place`."""

import asyncio
from dataclasses import dataclass

import pytest

from domain.measurement import Reading
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

    async def weights(self) -> dict[str, int]:
        front = await self.target.front(self.key("front"))
        assert front is not None
        return front.weights

    async def switch(self, number: str, *arms: tuple[str, int]) -> str:
        """Answers the URL of the front."""
        return await self.target.switch(self.key(f"{number}-switch"), self.key("front"), dict(arms))


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
            "switch_back": lambda: place.target.switch(key, place.key("front"), {start: 1}),
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
        url = await place.switch("a", (old, 1))
        assert await place.switch("b", (new, 1)) == url
        assert await place.weights() == {new: 1}
        assert (await place.target.effect(place.key("b-switch"))).previous == old

    async def test_switching_back_restores_what_was(self, place: Place):
        old, new = await place.run("a"), await place.run("b")
        await place.switch("a", (old, 1))
        await place.switch("b", (new, 1))
        await place.target.switch_back(place.key("b-switch"))
        assert await place.weights() == {old: 1}
        await place.target.switch_back(place.key("a-switch"))
        assert await place.weights() == {}

    async def test_a_later_switch_stands_when_an_earlier_one_is_undone(self, place: Place):
        old, new = await place.run("a"), await place.run("b")
        await place.switch("a", (old, 1))
        await place.switch("b", (new, 1))
        await place.target.switch_back(place.key("a-switch"))
        assert await place.weights() == {new: 1}
        await place.target.switch_back(place.key("b-switch"))
        assert await place.weights() == {}

    async def test_a_front_never_leads_to_what_does_not_run(self, place: Place):
        start = await place.run("a")
        await place.target.retire(place.key("retire"), start)
        with pytest.raises(TargetRefused, match="not running"):
            await place.switch("a", (start, 1))
        with pytest.raises(TargetRefused, match="no release"):
            await place.switch("a", (place.key("nobody"), 1))

    async def test_a_front_is_split_as_the_last_switch_says(self, place: Place):
        stable, baseline, canary = [await place.run(number) for number in "abc"]
        url = await place.switch("a", (stable, 1))
        for weight in (5, 20):
            arms = (stable, 100 - 2 * weight), (baseline, weight), (canary, weight)
            assert await place.switch(f"c{weight}", *arms) == url
            assert list((await place.weights()).items()) == list(arms)
        assert (await place.target.effect(place.key("c5-switch"))).previous == stable
        await place.target.switch_back(place.key("c5-switch"))
        assert await place.weights() == {stable: 60, baseline: 20, canary: 20}
        await place.target.switch_back(place.key("c20-switch"))
        assert await place.weights() == {stable: 1}

    async def test_previous_is_the_release_with_the_greatest_part(self, place: Place):
        old, new = await place.run("a"), await place.run("b")
        await place.switch("a", (old, 30), (new, 70))
        assert (await place.target.effect(place.key("a-switch"))).previous is None
        await place.switch("b", (old, 100))
        assert (await place.target.effect(place.key("b-switch"))).previous == new

    async def test_a_weight_of_0_is_a_weight(self, place: Place):
        old, new = await place.run("a"), await place.run("b")
        await place.switch("a", (old, 1), (new, 0))
        assert await place.weights() == {old: 1, new: 0}

    @pytest.mark.parametrize("weights", [(), (0,), (0, 0), (-1, 1)])
    async def test_a_split_without_a_positive_weight_or_with_a_negative_one_is_refused(
        self, place: Place, weights: tuple[int, ...]
    ):
        releases = [await place.run("a"), await place.run("b")]
        with pytest.raises(TargetRefused, match="weight"):
            await place.switch("a", *zip(releases, weights, strict=False))
        assert await place.target.front(place.key("front")) is None

    @pytest.mark.parametrize("header", ["", "X User", "X:", "X\r\nY"])
    async def test_a_header_that_could_be_none_is_refused(self, place: Place, header: str):
        start = await place.run("a")
        for headers in ({"sticky_header": header}, {"incident_header": header}):
            with pytest.raises(TargetRefused, match="no header"):
                await place.target.switch(place.key("a-switch"), place.key("front"), {start: 1}, **headers)

    async def test_the_headers_are_part_of_the_effect(self, place: Place):
        start = await place.run("a")
        switch, front = place.key("a-switch"), place.key("front")
        url = await place.target.switch(switch, front, {start: 1}, "X-User", "X-Trace")
        assert await place.target.switch(switch, front, {start: 1}, "X-User", "X-Trace") == url
        with pytest.raises(TargetRefused, match="another effect"):
            await place.target.switch(switch, front, {start: 1}, "X-User")

    async def test_every_release_of_a_split_must_run(self, place: Place):
        old, new = await place.run("a"), await place.run("b")
        await place.target.retire(place.key("retire"), new)
        for weight in (0, 1):
            with pytest.raises(TargetRefused, match="not running"):
                await place.switch("a", (old, 1), (new, weight))
        assert await place.target.front(place.key("front")) is None

    async def test_a_split_stays_what_it_is_when_one_of_its_releases_ends(self, place: Place):
        old, new = await place.run("a"), await place.run("b")
        await place.switch("a", (old, 1), (new, 1))
        await place.target.retire(place.key("retire"), new)
        assert await place.weights() == {old: 1, new: 1}

    async def test_a_front_that_does_not_exist_measures_nothing(self, place: Place):
        assert await place.target.measure(place.key("front")) == Reading("")

    async def test_a_front_is_measured_in_an_epoch(self, place: Place):
        await place.switch("a", (await place.run("a"), 1))
        reading = await place.target.measure(place.key("front"))
        assert reading.epoch
        assert reading.epoch == (await place.target.measure(place.key("front"))).epoch

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
