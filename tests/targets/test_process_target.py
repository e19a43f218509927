"""The process target keeps every promise of the port, with a real host and real processes."""

import asyncio
import json
import os
import shutil
import socket
import sys
import uuid
from pathlib import Path

import aiohttp
import pytest

from sagas.targets.port import Release, ReleaseFailed, TargetRefused, TargetUnavailable
from sagas.targets.process import ProcessTarget
from sagas.targets.process.wire import socket_of
from tests.targets.contract import Place, TargetContract
from tests.targets.hosts import Host, browser, deploy, service, until


class TestProcessTarget(TargetContract):
    @pytest.fixture
    def place(self, shared_host: Host) -> Place:
        name = uuid.uuid4().hex[:8]
        return Place(shared_host.target, name, service(name), service(name, "--sick"), service(name, "--exit", "1"))


def name() -> str:
    return uuid.uuid4().hex[:8]


def there(path: Path) -> bool:
    return os.path.lexists(path)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


async def test_a_release_gets_its_port_and_variables_and_no_secret_of_the_platform(shared_host: Host):
    key = name()
    url = await deploy(shared_host, key, front=None, COLOUR="blue")
    async with browser() as session, session.get(f"{url}/environment") as answer:
        seen = json.loads(await answer.text())
    assert seen["COLOUR"] == "blue"
    assert url.endswith(f":{seen['PORT']}")
    assert seen["HOST"] == "127.0.0.1"
    assert not [variable for variable in seen if variable.startswith("SAGACITY")]
    assert Path(seen["cwd"]) == shared_host.data / "work" / f"{key}-start"


async def test_all_faults_of_a_release_are_named_at_once(shared_host: Host, tmp_path: Path):
    plain = tmp_path / "plain"
    plain.write_text("not a program")
    wrong = Release(str(plain), ("a\0b",), {"A B": "1", "PORT": "80"}, "health check", "/no/such/directory")
    with pytest.raises(TargetRefused) as refused:
        await shared_host.target.validate(wrong)
    assert list(refused.value.faults) == [
        "the argument 1 holds a NUL byte",
        f"the program {str(plain)!r} is not an executable file",
        "there is no working directory '/no/such/directory'",
        "'A B' is not the name of an environment variable",
        "the environment variable PORT is given by the target",
        "the health path 'health check' does not start with /",
    ]


@pytest.mark.parametrize(
    ("release", "fault"),
    [
        (Release(""), "no program"),
        (Release("bin/tool"), "relative"),
        (Release("/"), "not an executable file"),
        (Release("sh\0"), "NUL"),
        (Release("sh", working_directory="here"), "not absolute"),
        (Release("sh", environment={"PATH": "/nowhere"}), "no program"),
        (Release("sh", health_path="/a b"), "blanks"),
    ],
)
async def test_a_release_that_could_never_run_is_refused(shared_host: Host, release: Release, fault: str):
    with pytest.raises(TargetRefused, match=fault):
        await shared_host.target.validate(release)


async def test_a_failed_start_tells_the_last_words_and_keeps_the_log(shared_host: Host):
    key = name()
    with pytest.raises(ReleaseFailed, match=r"exited with code 7; its last words: I cannot go on"):
        await deploy(shared_host, key, "--exit", "7")
    assert [line.text for line in await shared_host.target.logs(f"{key}-start")] == ["I cannot go on"]


async def test_a_file_that_cannot_be_executed_has_failed(shared_host: Host, tmp_path: Path):
    broken = tmp_path / "broken"
    broken.write_text("#!/no/such/interpreter\n")
    broken.chmod(0o755)
    key = name()
    await shared_host.target.allocate(f"{key}-allocate")
    with pytest.raises(ReleaseFailed, match="cannot be executed"):
        await shared_host.target.start(f"{key}-start", f"{key}-allocate", Release(str(broken)))


async def test_a_port_that_somebody_took_meanwhile_is_named(shared_host: Host):
    key = name()
    port = (await shared_host.target.allocate(f"{key}-allocate")).port
    taken = pytest.raises(ReleaseFailed, match=f"port {port} is taken by another program")
    with socket.create_server(("127.0.0.1", port)), taken:
        await shared_host.target.start(f"{key}-start", f"{key}-allocate", service(key))
    await shared_host.target.start(f"{key}-start", f"{key}-allocate", service(key))


async def test_a_release_that_crashes_is_started_again_and_says_so(shared_host: Host, tmp_path: Path):
    key = name()
    url = await deploy(shared_host, key, front=None)
    async with browser() as session:
        with pytest.raises(aiohttp.ClientError):
            await session.post(f"{url}/crash-once?file={tmp_path / 'crashed'}")

    async def healthy() -> bool:
        return (await shared_host.target.health(f"{key}-start")).healthy

    await until(healthy)
    [run] = [run for run in await shared_host.target.inventory() if run.start_key == f"{key}-start"]
    assert (run.restarts, run.last_exit) == (1, 3)
    assert "restarted 1 times; last exit code 3" in (await shared_host.target.health(f"{key}-start")).detail


async def test_what_a_release_writes_is_kept_line_by_line(shared_host: Host, tmp_path: Path):
    key = name()
    said = tmp_path / "said"
    said.write_bytes(b"first\r\n\xff\xfe bytes\n" + b"x" * 200_000 + b"\nlast\n")
    await deploy(shared_host, key, "--say", str(said), front=None)

    async def complete() -> bool:
        return len(await shared_host.target.logs(f"{key}-start")) == 6

    await until(complete)
    lines = await shared_host.target.logs(f"{key}-start")
    assert [line.number for line in lines] == [1, 2, 3, 4, 5, 6]
    out = [line.text for line in lines if line.stream == "stdout"]
    assert out[:2] == ["first", "\ufffd\ufffd bytes"]
    assert out[2] == "x" * 65536 + " … (truncated)"
    assert out[3:] == ["last", f"{key} begins"]
    assert [line.text for line in lines if line.stream == "stderr"] == [f"{key} warns"]
    assert await shared_host.target.logs(f"{key}-start", after=2, limit=3) == lines[2:5]


async def test_children_of_a_release_end_with_it(new_host):
    host = new_host().start()
    await deploy(host, "a", "--child", front=None)
    assert len(host.processes()) == 2
    await host.target.stop("a-start")
    assert host.processes() == []


async def test_no_host_is_unavailable_not_refused(tmp_path: Path):
    for place in (tmp_path, tmp_path / "missing"):
        with pytest.raises(TargetUnavailable):
            await ProcessTarget(place).allocate("a")


async def test_a_data_directory_with_a_long_path(new_host, tmp_path: Path):
    """The path of a Unix socket is limited to about 100 bytes."""
    host = new_host(tmp_path / ("d" * 120) / "host").start()
    await host.target.allocate("a")
    elsewhere = socket_of(host.data)
    assert mode(elsewhere) == 0o600
    host.kill()
    host.start()
    assert (await host.target.effect("a")).state == "kept"
    assert not there(elsewhere)
    elsewhere = socket_of(host.data)
    assert host.stop() == 0
    assert not there(elsewhere.parent)


async def test_a_second_host_in_the_same_directory_says_so(new_host):
    first = new_host().start()
    second = new_host().begin()
    assert second.process.wait(10) == 2
    assert f"process host {first.process.pid} already runs in" in second.output.read_text()
    await first.target.allocate("a")


async def test_a_state_that_cannot_be_read_is_not_overwritten(new_host):
    host = new_host()
    host.data.mkdir()
    (host.data / "state.json").write_text('{"entries": 7}')
    assert host.begin().process.wait(10) == 2
    assert "state.json cannot be read" in host.output.read_text()
    assert (host.data / "state.json").read_text() == '{"entries": 7}'


async def test_a_full_disk_is_unavailable_and_changes_nothing(new_host):
    host = new_host().start("-m", "tests.targets.dying_host", "full", "2")
    await host.target.allocate("a")
    with pytest.raises(TargetUnavailable, match="No space left"):
        await host.target.allocate("b")
    assert (await host.target.effect("b")).state == "absent"
    await host.target.allocate("b")


@pytest.mark.parametrize("number", [2, 3])
async def test_a_full_disk_while_starting_leaves_no_process(new_host, number: int):
    host = new_host().start("-m", "tests.targets.dying_host", "full", str(number))
    await host.target.allocate("a")
    with pytest.raises(TargetUnavailable):
        await host.target.start("s", "a", service("a"))
    assert host.processes() == []
    assert (await host.target.effect("s")).state == "absent"
    await host.target.start("s", "a", service("a"))
    assert len(host.processes()) == 1


async def test_calls_that_make_no_sense_are_refused_with_a_reason(shared_host: Host):
    connector = aiohttp.UnixConnector(str(shared_host.data / "control.sock"))
    async with aiohttp.ClientSession("http://host", connector=connector) as session:
        for method, path, body in [
            ("PUT", "/effects/a", b"{"),
            ("PUT", "/effects/a", b'{"type": "explode"}'),
            ("PUT", "/effects/a", b'{"type": "start"}'),
            ("DELETE", "/effects/a?undo=everything", b""),
            ("GET", "/releases/a/logs?after=x", b""),
        ]:
            async with session.request(method, path, data=body) as answer:
                assert answer.status == 409
                assert (await answer.json(content_type=None))["faults"]


@pytest.mark.skipif(not shutil.which("sh"), reason="needs a shell")
async def test_a_program_is_found_on_the_path_and_runs_where_it_is_told(shared_host: Host, tmp_path: Path):
    key = name()
    await shared_host.target.allocate(f"{key}-allocate")
    program = f"pwd; exec {sys.executable} {service(key).arguments[0]} {key}"
    release = Release("sh", ("-c", program), working_directory=str(tmp_path))
    await shared_host.target.start(f"{key}-start", f"{key}-allocate", release)
    assert (await shared_host.target.logs(f"{key}-start"))[0].text == str(tmp_path)


async def test_the_control_socket_is_for_its_own_user_only(shared_host: Host):
    await shared_host.target.allocate(name())
    assert mode(shared_host.data) == 0o700
    assert mode(shared_host.data / "control.sock") == 0o600
    assert mode(shared_host.data / "state.json") == 0o600


async def test_a_start_that_nobody_waits_for_any_more_still_happens_once(shared_host: Host):
    """A saga that dies while it waits asks again with the same key."""
    key = name()
    await shared_host.target.allocate(f"{key}-allocate")
    starting = asyncio.create_task(shared_host.target.start(f"{key}-start", f"{key}-allocate", service(key)))
    await asyncio.sleep(0.03)
    starting.cancel()
    await shared_host.target.start(f"{key}-start", f"{key}-allocate", service(key))
    assert len([run for run in await shared_host.target.inventory() if run.start_key == f"{key}-start"]) == 1
    log = await shared_host.target.logs(f"{key}-start")
    assert [line.text for line in log].count(f"{key} begins") == 1
