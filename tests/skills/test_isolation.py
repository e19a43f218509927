"""What nobody vouches for is held to its limits: each is shown by a skill that tries to break it."""

import asyncio
import os
import socket
import sys
from pathlib import Path

import pytest

from domain.skill import Isolation
from domain.workflow import Value
from skills.executing import Executor
from skills.isolation import confining
from skills.isolation.exchange import Bounds
from skills.isolation.rights import effective
from skills.protocol import Failed, Succeeded
from skills.skill import Security
from tests.processes import are_over
from tests.skills import offered
from tests.skills.calls import NO_BLOBS, work

pytestmark = pytest.mark.skipif(
    bool(confining.unenforced(Isolation())), reason=f"this machine: {confining.unenforced(Isolation())}"
)


NARROW = Isolation(cpu=2, memory=256 * offered.MEGABYTE)
"""What a call may; the skill itself may more."""


async def tried(code: str, isolation: Isolation = NARROW, *, bounds: Bounds | None = None, **given):
    executor = Executor(NO_BLOBS, worker="w", bounds=bounds or Bounds())
    call = work("isolated_python", {"text": code}, isolation=isolation, **given)
    return await executor.run(offered.isolated_python.__skill__, call)


async def found(code: str, isolation: Isolation = NARROW, **given) -> list[object]:
    result = await tried(code, isolation, **given)
    assert isinstance(result, Succeeded), result
    return result.output.inline


async def test_it_runs_like_any_other():
    assert await found("import json, numpy; found.append(int(numpy.ones(3).sum()))") == [3]


async def test_files_outside_its_grants_are_refused_and_those_inside_are_read(tmp_path):
    secret, granted = tmp_path / "secret", tmp_path / "granted"
    granted.mkdir()
    secret.write_text("s3cret")
    (granted / "file").write_text("may be read")
    (granted / "way_out").symlink_to(secret)
    code = f"""
for path in ("{granted}/file", "{granted}/way_out", "{secret}", "/etc/passwd", "/proc/{os.getpid()}/environ"):
    try: found.append(open(path).read())
    except OSError as error: found.append(type(error).__name__)
try: os.listdir("{tmp_path}")
except OSError as error: found.append(type(error).__name__)
"""
    refused = "PermissionError"
    may = Isolation(memory=512 * offered.MEGABYTE, read=(str(granted),))
    assert await found(code, may) == ["may be read", refused, refused, refused, refused, refused]


async def test_it_changes_nothing_outside_its_grants(tmp_path):
    kept, granted = tmp_path / "kept", tmp_path / "granted"
    kept.write_text("kept")
    granted.mkdir()
    code = f"""
for change in (
    lambda: open("{kept}", "w"), lambda: os.truncate("{kept}", 0), lambda: os.remove("{kept}"),
    lambda: os.rename("{kept}", "{granted}/kept"), lambda: os.link("{kept}", "{granted}/link"),
    lambda: os.chmod("{kept}", 0), lambda: os.utime("{kept}"), lambda: os.setxattr("{kept}", "user.a", b"b"),
    lambda: os.mkdir("{tmp_path}/new"), lambda: Path("{granted}/new").write_text("may be written"),
    lambda: Path("scratch").write_text("may be written"),
):
    try: change(); found.append("done")
    except OSError as error: found.append("refused")
"""
    may = Isolation(memory=512 * offered.MEGABYTE, read=(str(tmp_path),), write=(str(granted),))
    assert await found(code, may) == ["refused"] * 9 + ["done"] * 2
    assert kept.read_text() == "kept"
    assert (granted / "new").read_text() == "may be written"


async def test_its_own_directory_is_gone_afterwards():
    (room,) = await found("Path('a').write_text('b'); found.append(os.getcwd())")
    assert not Path(str(room)).exists()


async def test_without_a_network_not_even_this_machine_is_reached():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        code = f"""
for kind in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX, socket.AF_NETLINK):
    try: socket.socket(kind); found.append("open")
    except OSError as error: found.append(type(error).__name__)
try: socket.create_connection(("127.0.0.1", {port})); found.append("connected")
except OSError as error: found.append(type(error).__name__)
"""
        assert await found(code) == ["PermissionError"] * 5
        allowed = Isolation(memory=512 * offered.MEGABYTE, network=True)
        connect = f"socket.create_connection(('127.0.0.1', {port})); found.append('connected')"
        assert await found(connect, allowed) == ["connected"]
        denied = Security("tester", network=False)
        assert isinstance(await tried(connect, allowed, security=denied), Failed)


async def test_too_much_memory_ends_it_with_the_reason():
    result = await tried("found.append(len(bytearray(10**9)))")
    assert isinstance(result, Failed)
    assert "memory" in result.reason
    assert not result.retryable


async def test_too_much_memory_of_several_processes_ends_them_too():
    code = """
for _ in range(6):
    if os.fork() == 0:
        kept = bytearray(os.urandom(1)) * (80 * 1024 * 1024)
        time.sleep(60)
time.sleep(60)
"""
    result = await tried(code)
    assert isinstance(result, Failed)
    assert "memory" in result.reason


async def test_too_much_of_the_processor_ends_it_even_shared_out_and_with_signals_ignored():
    alone = "signal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass"
    shared = "for _ in range(4): os.fork()\nwhile True: pass"
    may = Isolation(cpu=1, memory=512 * offered.MEGABYTE)
    for code in (alone, shared):
        result = await tried(code, may)
        assert isinstance(result, Failed)
        assert "of the processor" in result.reason, result


async def test_too_much_written_is_refused_in_one_file_and_ended_in_many():
    bounds = Bounds(file=8 * offered.MEGABYTE, written=32 * offered.MEGABYTE)
    one = await tried("f = open('a', 'wb'); f.seek(10**7); f.write(b'a'); f.flush()", bounds=bounds)
    assert isinstance(one, Failed)
    assert "File too large" in one.reason
    many = await tried(
        "for number in range(10**6): Path(f'{number % 8}').write_bytes(bytes(2**20)); time.sleep(0.01)", bounds=bounds
    )
    assert many == Failed(f"it wrote more than {32 * offered.MEGABYTE} bytes", False, False, "w", many.seconds, 0.0)


async def test_too_many_processes_end_it():
    code = "for _ in range(40):\n if os.fork() == 0: time.sleep(60)\ntime.sleep(60)"
    result = await tried(code, bounds=Bounds(processes=20))
    assert isinstance(result, Failed)
    assert result.reason == "it started more than 20 processes"


async def test_what_it_leaves_behind_is_ended_and_it_cannot_slip_away():
    code = """
for escape in (os.setsid, os.setpgrp, lambda: os.unshare(0x10000000) if hasattr(os, "unshare") else os.setsid()):
    try: escape(); found.append("escaped")
    except OSError as error: found.append(type(error).__name__)
child = os.fork()
if child == 0:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(60)
found.append(child)
"""
    *escapes, child = await found(code)
    assert escapes == ["PermissionError"] * 3
    await are_over(child)


async def test_it_reaches_no_other_process(monkeypatch):
    monkeypatch.setenv("SECRET_OF_THE_WORKER", "s3cret")
    code = f"""
import resource
for harm in (
    lambda: os.kill({os.getpid()}, 0), lambda: os.kill(os.getppid(), 9),
    lambda: resource.prlimit({os.getpid()}, resource.RLIMIT_NOFILE, (8, 8)),
    lambda: os.sched_setaffinity({os.getpid()}, [0]), lambda: os.setpriority(os.PRIO_PROCESS, {os.getpid()}, 19),
):
    try: harm(); found.append("done")
    except OSError as error: found.append("refused")
found.append("SECRET_OF_THE_WORKER" in os.environ)
"""
    assert await found(code) == ["refused"] * 5 + [False]


async def test_whoever_stops_waiting_ends_it_with_what_it_started(tmp_path):
    may = Isolation(memory=512 * offered.MEGABYTE, write=(str(tmp_path),))
    code = (
        f"child = os.fork()\nif child: Path('{tmp_path}/pids').write_text(f'{{os.getpid()}} {{child}}')\ntime.sleep(60)"
    )
    running = asyncio.create_task(tried(code, may))
    pids = await pids_in(tmp_path / "pids")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await are_over(*pids)


async def test_it_ends_when_it_takes_longer_than_it_may():
    result = await tried("time.sleep(60)", timeout=1.0)
    assert isinstance(result, Failed)
    assert result.reason == "no result after 1 s"
    assert result.retryable


async def test_a_worker_that_is_killed_takes_isolated_calls_with_it(tmp_path):
    script = f"""
import asyncio
from domain.skill import Isolation
from skills.executing import Executor
from tests.skills import offered
from tests.skills.calls import NO_BLOBS, work
code = "child = os.fork()\\nif child: Path('{tmp_path}/pids').write_text(f'{{os.getpid()}} {{child}}')\\ntime.sleep(60)"
may = Isolation(memory=2**29, write=("{tmp_path}",))
asyncio.run(Executor(NO_BLOBS).run(offered.isolated_python.__skill__, work("a", {{"text": code}}, isolation=may)))
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "TMPDIR": str(tmp_path)}
    worker = await asyncio.create_subprocess_exec(sys.executable, "-c", script, env=environment)
    pids = await pids_in(tmp_path / "pids")
    worker.kill()
    await worker.wait()
    async with asyncio.timeout(10):
        await are_over(*pids)
        while list(tmp_path.glob("skill-*")):
            await asyncio.sleep(0.02)


def test_a_call_may_do_what_both_the_skill_and_the_run_may(tmp_path):
    inner, link = tmp_path / "a" / "b", tmp_path / "link"
    inner.mkdir(parents=True)
    link.symlink_to(tmp_path)
    skill = Isolation(network=True, read=(str(tmp_path / "a"), str(link)), write=(str(inner),))
    both = effective(skill, Security("me", network=None, read=(str(inner),), write=()))
    assert both == Isolation(network=True, read=(str(inner),), write=())
    whole = effective(skill, Security("me"))
    assert (whole.read, whole.write) == ((str(tmp_path / "a"), str(tmp_path)), (str(inner),))
    assert not effective(skill, Security("me", network=False)).network
    assert not effective(Isolation(network=False), Security("me", network=True)).network


async def test_where_a_limit_cannot_be_kept_it_is_not_run_unless_that_is_allowed(monkeypatch):
    monkeypatch.setattr(confining.landlock, "abi", lambda: 0)
    call = work("isolated_python", {"text": "found.append(1)"}, isolation=NARROW)
    skill = offered.isolated_python.__skill__
    refused = await Executor(NO_BLOBS).run(skill, call)
    assert isinstance(refused, Failed)
    assert "cannot isolate it: files" in refused.reason
    assert not refused.retryable
    allowed = await Executor(NO_BLOBS, unenforced=True).run(skill, call)
    assert isinstance(allowed, Succeeded)
    assert allowed.output == Value(inline=[1])


async def pids_in(file: Path) -> list[int]:
    async with asyncio.timeout(20):
        while not (file.exists() and len(file.read_text().split()) == 2):
            await asyncio.sleep(0.02)
    return [int(each) for each in file.read_text().split()]
