"""`sagacity worker`: the skills of a file that somebody wrote, registered and carried out until Ctrl-C."""

import asyncio
import signal
import sys
from collections.abc import Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from api.requests import command_answers
from domain import skill as registry
from domain.workflow import Value
from eventstore.tasks import end_tasks
from handlers.requests import answer_requests
from sagacity.wiring import open_core
from skills.protocol import Succeeded, work_subject
from tests.skills.calls import work
from tests.skills.test_worker import Asker
from tests.up import its_nats_server

PROGRAM = "import sys; from sagacity.cli.worker import worker; worker.main(sys.argv[1:], prog_name='worker')"
MODULE = """
from pathlib import Path
from skills.skill import Context, skill

try:
    Path("imported").touch()
except OSError:
    pass

@skill("{name}")
def shout(text: str, context: Context) -> str:
    try:
        Path("{directory}/called").touch()
    except OSError:
        return "not allowed"
    return text.upper()
"""


@asynccontextmanager
async def command(directory: Path, *arguments: str):
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PROGRAM, *arguments),
        cwd=directory,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.mark.parametrize(
    ("flags", "answer", "is_imported"),
    [((), "LOUD", True), (("--untrusted",), "not allowed", False)],
)
async def test_it_offers_the_skills_of_a_module(log_url, tmp_path, flags, answer, is_imported):
    name = f"shout{len(flags)}"
    (tmp_path / "mine.py").write_text(MODULE.format(name=name, directory=tmp_path))
    async with open_core(log_url) as core:
        answering = asyncio.create_task(answer_requests(core.connection, command_answers(core.handler)))
        async with command(tmp_path, "mine", "--nats", log_url, *flags) as process:
            asker = Asker(core.connection)
            asked = msgspec.json.encode(work(name, "loud", call=f"{name}-1"))
            await core.connection.publish(work_subject(name, "1"), asked)
            (result,) = await asker.results([f"{name}-1"])
            assert isinstance(result, Succeeded), result
            assert result.output == Value(inline=answer)
            process.send_signal(signal.SIGINT)
            said, complaints = await process.communicate()
        await end_tasks(answering)
        known = (await core.aggregates.load(registry.skill, name, latest=True)).state
    assert isinstance(known, registry.Known)
    assert process.returncode == 0, complaints
    first, last = said.decode().splitlines()
    assert first.startswith(f"{name} 1: {'isolated' if flags else 'thread'}")
    assert last.endswith("takes calls; Ctrl-C ends it")
    assert (tmp_path / "imported").exists() is is_imported
    assert (tmp_path / "called").exists() is is_imported


@pytest.fixture(scope="module")
def without_password(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with its_nats_server(tmp_path_factory.mktemp("data")) as url:
        yield f"nats://{url.partition('@')[2]}"


@pytest.mark.parametrize("flags", [(), ("--no-register",)])
async def test_a_server_that_lets_it_do_nothing_is_told_at_once(tmp_path, without_password, flags):
    (tmp_path / "mine.py").write_text(MODULE.format(name="shout", directory=tmp_path))
    async with command(tmp_path, "mine", "--nats", without_password, *flags) as process, asyncio.timeout(10):
        said, complaints = await process.communicate()
    assert (process.returncode, said) == (2, b"")
    line = complaints.decode()
    assert (line.count("\n"), "permissions violation" in line, "run/nats_url" in line) == (1, True, True), line


async def test_every_module_that_cannot_be_used_is_named(tmp_path):
    (tmp_path / "empty.py").touch()
    for flags in ((), ("--untrusted",)):
        async with command(tmp_path, "empty", "none_such", "--nats", "nats://127.0.0.1:1", *flags) as process:
            _, complaints = await process.communicate()
        assert process.returncode == 2
        assert b"empty" in complaints
        assert b"offers no skill" in complaints
        assert b"No module named 'none_such'" in complaints
        assert b"Traceback" not in complaints
