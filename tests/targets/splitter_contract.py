"""What every splitter promises. An implementation subclasses `SplitterContract` and gives the fixture `splitter`.

The splitter is started already and is stopped by the fixture. Its requests are real ones, over real connections.
"""

import asyncio
import contextlib
import math
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

import aiohttp
import pytest
from aiohttp import web

from domain.measurement import Counts, bucket_of
from sagas.targets.splitter.port import Arm, Route, Splitter
from tests.targets.arms import ArmServer, free_port
from tests.targets.fast_load import Answer, Visitor, ask_often
from tests.targets.hosts import until

ArmsOf = Callable[[str], Awaitable[ArmServer]]

SIGMAS = 4.0
"""A right splitter is outside of this less than once in 15,000 runs, even one that draws lots."""


def sampling_error(requests: int, share: float) -> float:
    """How far the count of an arm may be from `requests * share`."""
    return SIGMAS * math.sqrt(requests * share * (1 - share))


def route(*arms: tuple[ArmServer, int], sticky: str | None = None, incident: str | None = None) -> Route:
    return Route(tuple(Arm(arm.name, arm.port, weight) for arm, weight in arms), sticky, incident)


def shares(answers: Iterable[Answer]) -> Counter[str]:
    """Good answers by arm. Every answer must be a good one."""
    answers = list(answers)
    assert {answer.status for answer in answers} == {200}
    return Counter(answer.body for answer in answers)


async def front(splitter: Splitter, name: str = "front") -> int:
    port = free_port()
    await splitter.open(name, port)
    return port


async def counted(splitter: Splitter, requests: int, name: str = "front") -> dict[str, Counts]:
    """The counts once they add up to so many requests: a splitter may learn of answers a little later."""

    async def complete() -> bool:
        return sum(arm.requests for arm in (await splitter.reading(name)).arms.values()) >= requests

    await until(complete)
    arms = (await splitter.reading(name)).arms
    assert sum(arm.requests for arm in arms.values()) == requests
    return arms


@contextlib.asynccontextmanager
async def under_load(port: int, clients: int = 8) -> AsyncIterator[list[Answer]]:
    """Clients that ask without pause; the list grows while they do."""
    answers: list[Answer] = []
    over = asyncio.Event()

    async def work() -> None:
        with contextlib.closing(Visitor(port)) as visitor:
            while not over.is_set():
                answers.append(await visitor.ask())

    working = [asyncio.create_task(work()) for _ in range(clients)]
    try:
        yield answers
    finally:
        over.set()
        await asyncio.gather(*working)


async def further(answers: list[Answer], count: int) -> None:
    """Wait for so many more answers."""
    wanted = len(answers) + count

    async def there() -> bool:
        return len(answers) >= wanted

    await until(there)


class SplitterContract:
    @pytest.fixture
    async def arm(self) -> AsyncIterator[ArmsOf]:
        made: list[ArmServer] = []

        async def make(name: str) -> ArmServer:
            made.append(await ArmServer(name).start())
            return made[-1]

        yield make
        for server in made:
            server.stop()

    async def test_requests_are_split_95_to_5_and_each_is_counted_where_it_went(self, splitter: Splitter, arm: ArmsOf):
        port, stable, canary = await front(splitter), await arm("stable"), await arm("canary")
        await splitter.route("front", route((stable, 95), (canary, 5)))
        answered = shares(await ask_often(port, 4_000))
        assert abs(answered["canary"] - 200) <= sampling_error(4_000, 0.05)
        counts = await counted(splitter, 4_000)
        assert {name: arm.requests for name, arm in counts.items()} == dict(answered)
        assert (stable.requests, canary.requests) == (answered["stable"], answered["canary"])
        assert [arm.errors for arm in counts.values()] == [0, 0]
        assert {name: sum(arm.latency.values()) for name, arm in counts.items()} == dict(answered)

    async def test_three_arms_get_their_shares(self, splitter: Splitter, arm: ArmsOf):
        """A canary beside a baseline of the same size."""
        port, arms = await front(splitter), [await arm(name) for name in ("stable", "baseline", "canary")]
        await splitter.route("front", route(*zip(arms, (80, 10, 10), strict=True)))
        answered = shares(await ask_often(port, 3_000))
        for name, share in (("stable", 0.8), ("baseline", 0.1), ("canary", 0.1)):
            assert abs(answered[name] - 3_000 * share) <= sampling_error(3_000, share)

    async def test_weights_change_under_load_and_no_request_is_lost(self, splitter: Splitter, arm: ArmsOf):
        port, old, new = await front(splitter), await arm("old"), await arm("new")
        await splitter.route("front", route((old, 100), (new, 0)))
        async with under_load(port) as answers:
            for weight in (*range(0, 101, 5), *range(95, -1, -5), 100):
                await splitter.route("front", route((old, 100 - weight), (new, weight)))
                await further(answers, 40)
        answered = shares(answers)
        assert min(answered["old"], answered["new"]) > 300
        counts = await counted(splitter, len(answers))
        assert {name: arm.requests for name, arm in counts.items()} == dict(answered)

    async def test_arms_come_and_go_under_load_and_no_request_is_lost(self, splitter: Splitter, arm: ArmsOf):
        """Each release is stopped once it is out of the route and nothing is in flight there."""
        port, old = await front(splitter), await arm("r0")
        await splitter.route("front", route((old, 1)))
        async with under_load(port) as answers:
            for number in range(1, 9):
                new = await arm(f"r{number}")
                for weights in ((3, 1), (1, 3), (0, 1)):
                    await splitter.route("front", route(*zip((old, new), weights, strict=True)))
                    await further(answers, 30)
                await splitter.route("front", route((new, 1)))

                async def drained(key: str = old.name) -> bool:
                    return await splitter.in_flight(key) == 0

                await until(drained)
                old.stop()
                old = new
        assert set(shares(answers)) == {f"r{number}" for number in range(9)}

    async def test_weight_0_takes_no_new_request(self, splitter: Splitter, arm: ArmsOf):
        port, old, new = await front(splitter), await arm("old"), await arm("new")
        await splitter.route("front", route((old, 1), (new, 1)))
        assert len(shares(await ask_often(port, 20))) == 2
        await splitter.route("front", route((old, 1), (new, 0)))
        assert set(shares(await ask_often(port, 500))) == {"old"}
        assert new.requests == (await counted(splitter, 520))["new"].requests == 10

    async def test_a_new_route_is_in_force_when_it_returns(self, splitter: Splitter, arm: ArmsOf):
        port, old, new = await front(splitter), await arm("old"), await arm("new")
        with contextlib.closing(Visitor(port)) as visitor:
            for _ in range(10):
                for release in (old, new):
                    await splitter.route("front", route((release, 1)))
                    assert (await visitor.ask()).body == release.name

    async def test_a_value_of_the_sticky_header_stays_on_its_arm(self, splitter: Splitter, arm: ArmsOf):
        port, stable, canary = await front(splitter), await arm("stable"), await arm("canary")
        await splitter.route("front", route((stable, 80), (canary, 20), sticky="X-User"))
        first, again = [await self._arm_of_each(port, 1_500) for _ in range(2)]
        assert first == again
        assert abs(Counter(first.values())["canary"] - 300) <= sampling_error(1_500, 0.2)

    async def test_a_value_on_the_first_arm_stays_there_while_its_share_grows(self, splitter: Splitter, arm: ArmsOf):
        port, canary, stable = await front(splitter), await arm("canary"), await arm("stable")
        before: set[str] = set()
        for weight in (5, 20, 50, 80, 100):
            await splitter.route("front", route((canary, weight), (stable, 100 - weight), sticky="X-User"))
            placed = await self._arm_of_each(port, 600)
            there = {user for user, name in placed.items() if name == "canary"}
            assert before <= there
            assert abs(len(there) - 6 * weight) <= sampling_error(600, weight / 100)
            before = there

    async def test_what_comes_without_the_sticky_header_is_split(self, splitter: Splitter, arm: ArmsOf):
        port, stable, canary = await front(splitter), await arm("stable"), await arm("canary")
        await splitter.route("front", route((stable, 75), (canary, 25), sticky="X-User"))
        answered = shares(await ask_often(port, 1_000))
        assert abs(answered["canary"] - 250) <= sampling_error(1_000, 0.25)

    async def test_errors_are_answers_from_500_on_and_are_told_by_where_they_were(
        self, splitter: Splitter, arm: ArmsOf
    ):
        port, release = await front(splitter), await arm("release")
        await splitter.route("front", route((release, 1)))
        with contextlib.closing(Visitor(port)) as visitor:
            for path in ("/status/500/a", "/status/404/a", "/status/200/a", "/status/503?page=2", "/status/499"):
                await visitor.ask(path)
            await visitor.ask("/status/500", method="DELETE")
        counts = (await counted(splitter, 6))["release"]
        assert (counts.requests, counts.errors, counts.incidents) == (6, 3, 3)
        assert counts.patterns == {"500 GET /status": 1, "503 GET /status": 1, "500 DELETE /status": 1}
        assert sum(counts.latency.values()) == 6

    async def test_errors_in_a_row_are_one_incident_and_one_more_at_every_tenth(self, splitter: Splitter, arm: ArmsOf):
        port, release = await front(splitter), await arm("release")
        await splitter.route("front", route((release, 1)))
        with contextlib.closing(Visitor(port)) as visitor:
            for status in (*[500] * 3, 200, *[500] * 11, 200, 500):
                await visitor.ask(f"/status/{status}")
        counts = (await counted(splitter, 17))["release"]
        assert (counts.errors, counts.incidents) == (15, 4)

    async def test_errors_of_one_value_of_the_incident_header_are_one_incident(self, splitter: Splitter, arm: ArmsOf):
        port, release = await front(splitter), await arm("release")
        await splitter.route("front", route((release, 1), incident="X-User"))
        with contextlib.closing(Visitor(port)) as visitor:
            for number in range(12):
                await visitor.ask("/status/500", {"X-User": f"user-{number % 3}"})
                await visitor.ask("/", {"X-User": f"user-{number % 3}"})
            await visitor.ask("/status/500")
        counts = (await counted(splitter, 25))["release"]
        assert (counts.errors, counts.incidents) == (13, 4)

    async def test_latency_is_counted_in_the_bucket_of_the_time_it_took(self, splitter: Splitter, arm: ArmsOf):
        port, quick, slow = await front(splitter), await arm("quick"), await arm("slow")
        slow.delay = 0.2
        await splitter.route("front", route((quick, 1), (slow, 1)))
        await ask_often(port, 40, clients=4)
        counts = await counted(splitter, 40)
        assert counts["slow"].requests == sum(counts["slow"].latency.values()) == 20
        expected = bucket_of(slow.delay)
        assert all(expected - 1 <= bucket <= expected + 5 for bucket in counts["slow"].latency)
        assert max(counts["quick"].latency) < expected - 10

    async def test_an_arm_that_refuses_connections_costs_no_request(self, splitter: Splitter, arm: ArmsOf):
        port, good, gone = await front(splitter), await arm("good"), await arm("gone")
        await splitter.route("front", route((good, 1), (gone, 1)))
        gone.stop()
        assert shares(await ask_often(port, 100)) == {"good": 100}
        assert (await counted(splitter, 100))["good"].errors == 0
        await gone.start()

        async def back() -> bool:
            return len(shares(await ask_often(port, 20))) == 2

        await until(back)

    async def test_a_sticky_value_whose_arm_is_gone_is_answered_by_another(self, splitter: Splitter, arm: ArmsOf):
        port, good, gone = await front(splitter), await arm("good"), await arm("gone")
        await splitter.route("front", route((good, 1), (gone, 1), sticky="X-User"))
        gone.stop()
        assert set((await self._arm_of_each(port, 50)).values()) == {"good"}

    async def test_a_release_that_refuses_every_connection_is_an_error_of_it(self, splitter: Splitter, arm: ArmsOf):
        port, gone = await front(splitter), await arm("gone")
        await splitter.route("front", route((gone, 1)))
        gone.stop()
        [answer] = await ask_often(port, 1, path="/products/7")
        assert answer.status in (502, 503)
        counts = (await counted(splitter, 1))["gone"]
        assert (counts.errors, counts.incidents, counts.latency) == (1, 1, {})
        assert counts.patterns == {"none GET /products": 1}

    async def test_an_answer_that_breaks_off_is_none(self, splitter: Splitter, arm: ArmsOf):
        port, release = await front(splitter), await arm("release")
        await splitter.route("front", route((release, 1)))
        [answer] = await ask_often(port, 1, path="/cut")
        assert answer.status is None
        counts = (await counted(splitter, 1))["release"]
        assert (counts.errors, counts.patterns) == (1, {"none GET /cut": 1})

    async def test_in_flight_is_what_is_being_answered_now(self, splitter: Splitter, arm: ArmsOf):
        port, slow, other = await front(splitter), await arm("slow"), await arm("other")
        slow.delay = 0.5
        await splitter.route("front", route((slow, 1)))
        asking = asyncio.create_task(ask_often(port, 3, clients=3))

        async def three() -> bool:
            return await splitter.in_flight("slow") == 3

        await until(three)
        await splitter.route("front", route((other, 1)))
        assert await splitter.in_flight("slow") == 3
        assert shares(await asking) == {"slow": 3}
        counts = await counted(splitter, 3)
        assert (counts["slow"].requests, counts["other"].requests) == (3, 0)
        assert [await splitter.in_flight(name) for name in ("slow", "other", "nobody")] == [0, 0, 0]

    async def test_a_websocket_is_in_flight_until_it_closes_and_a_request_without_latency(self, splitter: Splitter):
        port, release = await front(splitter), free_port()
        async with _echoing(release):
            await splitter.route("front", Route((Arm("release", release, 1),)))
            async with (
                aiohttp.ClientSession() as session,
                session.ws_connect(f"http://127.0.0.1:{port}/socket") as websocket,
            ):
                await websocket.send_str("hello")
                assert await websocket.receive_str(timeout=5) == "hello"
                assert await splitter.in_flight("release") == 1
            counts = (await counted(splitter, 1))["release"]
            assert (counts.errors, counts.latency) == (0, {})

            async def over() -> bool:
                return await splitter.in_flight("release") == 0

            await until(over)

    async def test_fronts_are_counted_apart_and_in_one_epoch(self, splitter: Splitter, arm: ArmsOf):
        ports = [await front(splitter, name) for name in ("a", "b")]
        for name in ("a", "b"):
            await splitter.route(name, route((await arm(f"release-{name}"), 1)))
        await ask_often(ports[0], 3)
        await ask_often(ports[1], 5)
        assert set(await counted(splitter, 3, "a")) == {"release-a"}
        assert set(await counted(splitter, 5, "b")) == {"release-b"}
        epochs = {(await splitter.reading(name)).epoch for name in ("a", "b", "a")}
        assert len(epochs) == 1
        assert "" not in epochs

    async def test_counts_stay_when_an_arm_leaves_the_route_and_comes_back(self, splitter: Splitter, arm: ArmsOf):
        port, old, new = await front(splitter), await arm("old"), await arm("new")
        for release in (old, new, old):
            await splitter.route("front", route((release, 1)))
            await ask_often(port, 4)
        assert {key: counts.requests for key, counts in (await counted(splitter, 12)).items()} == {"old": 8, "new": 4}

    @pytest.mark.parametrize("weights", [None, (), (0, 0)])
    async def test_a_front_that_leads_nowhere_says_when_to_come_again(
        self, splitter: Splitter, arm: ArmsOf, weights: tuple[int, ...] | None
    ):
        port, arms = await front(splitter), [await arm("a"), await arm("b")]
        if weights is not None:
            await splitter.route("front", route(*zip(arms, weights, strict=False)))
        [answer] = await ask_often(port, 1)
        assert answer.status == 503
        assert "\r\nretry-after: 1\r\n" in answer.headers.lower()

    async def test_a_taken_port_is_told_and_what_is_there_goes_on(self, splitter: Splitter, arm: ArmsOf):
        port, release = await front(splitter), await arm("release")
        await splitter.route("front", route((release, 1)))
        with pytest.raises(OSError, match=r"."):
            await splitter.open("other", release.port)
        with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match=r"."):
            await splitter.open("other", taken.getsockname()[1])
        assert shares(await ask_often(port, 10)) == {"release": 10}
        await splitter.open("other", free_port())

    async def test_a_front_that_is_not_open_is_a_key_error(self, splitter: Splitter, arm: ArmsOf):
        release = await arm("release")
        await front(splitter)
        await splitter.close("front")
        for name in ("front", "never"):
            with pytest.raises(KeyError):
                await splitter.route(name, route((release, 1)))
            with pytest.raises(KeyError):
                await splitter.reading(name)
            with pytest.raises(KeyError):
                await splitter.close(name)

    async def test_closing_lets_answers_go_out_and_takes_nothing_new(self, splitter: Splitter, arm: ArmsOf):
        port, slow = await front(splitter), await arm("slow")
        kept, other = await front(splitter, "kept"), await arm("other")
        slow.delay = 0.5
        await splitter.route("front", route((slow, 1)))
        await splitter.route("kept", route((other, 1)))
        asking = asyncio.create_task(ask_often(port, 1))

        async def there() -> bool:
            return slow.requests == 1

        await until(there)
        closing = asyncio.create_task(splitter.close("front"))
        assert shares(await asking) == {"slow": 1}
        await closing
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        assert shares(await ask_often(kept, 1)) == {"other": 1}

    async def test_a_closed_front_opens_again_at_the_same_port(self, splitter: Splitter, arm: ArmsOf):
        port, release = await front(splitter), await arm("release")
        await splitter.close("front")
        await splitter.open("front", port)
        assert [answer.status for answer in await ask_often(port, 1)] == [503]
        await splitter.route("front", route((release, 1)))
        assert shares(await ask_often(port, 1)) == {"release": 1}

    async def test_after_a_stop_it_starts_again_with_nothing_and_in_another_epoch(
        self, splitter: Splitter, arm: ArmsOf
    ):
        port, release = await front(splitter), await arm("release")
        await splitter.route("front", route((release, 1)))
        await ask_often(port, 2)
        await counted(splitter, 2)
        epoch = (await splitter.reading("front")).epoch
        await splitter.stop()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        await splitter.start()
        with pytest.raises(KeyError):
            await splitter.reading("front")
        await splitter.open("front", port)
        await splitter.route("front", route((release, 1)))
        await ask_often(port, 1)
        await counted(splitter, 1)
        assert (await splitter.reading("front")).epoch != epoch

    async def test_it_is_not_lost_while_it_works(self, splitter: Splitter):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(splitter.lost(), 0.2)

    async def _arm_of_each(self, port: int, users: int) -> dict[str, str]:
        """Each user asks once."""
        placed: dict[str, str] = {}
        waiting = [f"user-{number}" for number in range(users)]

        async def work() -> None:
            with contextlib.closing(Visitor(port)) as visitor:
                while waiting:
                    user = waiting.pop()
                    answer = await visitor.ask(headers={"X-User": user})
                    assert answer.status == 200
                    placed[user] = answer.body

        await asyncio.gather(*(work() for _ in range(16)))
        return placed


@contextlib.asynccontextmanager
async def _echoing(port: int) -> AsyncIterator[None]:
    """A release that says back what it hears on a WebSocket."""

    async def echo(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            await socket.send_str(message.data)
        return socket

    application = web.Application()
    application.router.add_get("/socket", echo)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield
    finally:
        await runner.cleanup()
