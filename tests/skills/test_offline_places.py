"""What skills may read: what whoever runs them allows, and of that what the run grants."""

import pytest

from domain.skill import Isolation
from sagas.workflows.local import Local
from skills.executing import Executor
from skills.isolation.confining import unenforced
from skills.offline.extract_document import document_skill
from skills.offline.list_files import list_files
from skills.offline.places import files_of, granted
from skills.offline.secret_scan import secret_scan
from skills.protocol import Failed, Succeeded
from skills.skill import Context, Places, SkillFailed, skill_of
from tests.skills.asking import context
from tests.skills.calls import NO_BLOBS, work

NOT_ALLOWED = "is not among what may be read here: the platform's setting skill_paths names the directories"
NOT_GRANTED = "is not among what may be read: the run grants other paths"
DATA = "is in the data directory of the platform, which no skill reads"


@pytest.fixture
def home(tmp_path):
    for name in ("code/a.py", "code/inner/b.py", "code/data/run/key.py", "elsewhere/c.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x = 1\n")
    return tmp_path


def within(places, read=None) -> Context:
    given = context(read=None if read is None else tuple(map(str, read)))
    return Context(given.user, given.system, given.security, given.progress, places=places)


def why_not(path, context):
    with pytest.raises(SkillFailed) as failed:
        granted(str(path), context)
    assert not failed.value.retryable
    return failed.value.reason.removeprefix(f"{path} ")


def test_nothing_may_be_read_where_nothing_is_allowed_whatever_is_granted(home):
    for read in (None, ["/"], [home]):
        for path in (home / "code", home / "code" / "a.py", home / "not-there", "/etc/passwd", "."):
            assert why_not(path, within(Places(), read)) == NOT_ALLOWED


def test_a_path_must_be_both_allowed_and_granted(home):
    places = Places((str(home / "code"),))
    assert granted(str(home / "code"), within(places)) == (home / "code").resolve()
    assert granted(str(home / "code" / "inner"), within(places, [home / "code" / "inner"])).name == "inner"
    assert why_not(home / "code", within(places, [home / "code" / "inner"])) == NOT_GRANTED
    assert why_not(home / "code" / "a.py", within(places, [])) == NOT_GRANTED
    for path in (home, home / "elsewhere" / "c.py", home / "code" / ".." / "elsewhere", home / "code2"):
        assert why_not(path, within(places, [home])) == NOT_ALLOWED


def test_a_link_leads_to_what_is_allowed_or_is_refused(home):
    (home / "code" / "out").symlink_to(home / "elsewhere")
    (home / "link").symlink_to(home / "code")
    assert why_not(home / "code" / "out" / "c.py", within(Places((str(home / "code"),)))) == NOT_ALLOWED
    assert granted(str(home / "code" / "a.py"), within(Places((str(home / "link"),)))).name == "a.py"


def test_the_data_directory_is_never_read_neither_named_nor_on_the_way_nor_through_a_link(home):
    (home / "to_data").symlink_to(home / "code" / "data")
    (home / "code" / "way_in").symlink_to(home / "code" / "data" / "run" / "key.py")
    for kept in (home / "code" / "data", home / "to_data"):
        given = within(Places((str(home), "/"), (str(kept),)))
        for path in (home / "code" / "data", home / "to_data" / "run" / "key.py", home / "code" / "way_in"):
            assert why_not(path, given) == DATA
        assert files_of(str(home / "code"), given).files == ("a.py", "inner/b.py")
        for name in ("data/run/key.py", "way_in"):
            with pytest.raises(SkillFailed, match="no files of"):
                files_of(str(home / "code"), given, (), [name])


def test_code_that_comes_with_the_request_is_reviewed_wherever_nothing_may_be_read():
    from skills.offline.code_review import Review, code_review

    assert code_review(Review(source="import os\n"), within(Places(), [])).reviewed == ("given.py",)


@pytest.mark.parametrize("function", [list_files, secret_scan])
async def test_whoever_runs_skills_bounds_them_in_a_thread_and_in_other_processes(home, function):
    places = Places((str(home / "code"),), (str(home / "code" / "data"),))
    executor = Executor(NO_BLOBS, processes=1, places=places)
    try:
        done = await executor.run(skill_of(function), work("a", {"path": str(home / "code")}))
        assert isinstance(done, Succeeded)
        assert done.output.inline["files" if function is list_files else "reviewed"] == ["a.py", "inner/b.py"]
        refused = await executor.run(skill_of(function), work("b", {"path": str(home / "elsewhere")}))
        assert isinstance(refused, Failed)
        assert (refused.reason, refused.retryable) == (f"{home / 'elsewhere'} {NOT_ALLOWED}", False)
    finally:
        await executor.close()


@pytest.mark.skipif(bool(unenforced(Isolation())), reason="this machine cannot isolate")
async def test_whoever_runs_skills_bounds_them_in_isolation_too(home):
    executor = Executor(NO_BLOBS, places=Places((str(home / "code"),)))
    may = Isolation(read=(str(home),))
    try:
        refused = await executor.run(skill_of(list_files), work("a", {"path": str(home / "elsewhere")}, isolation=may))
        assert isinstance(refused, Failed)
        assert NOT_ALLOWED in refused.reason
    finally:
        await executor.close()


async def test_the_engine_bounds_what_it_does_in_its_own_event_loop(home):
    async def nothing_stored(hash):
        raise AssertionError(hash)

    executor = Executor(NO_BLOBS)
    local = Local(executor.run, places=Places((str(home / "code"),)))
    skill = document_skill(None, nothing_stored)
    refused = await local(skill, work("a", {"path": str(home / "elsewhere" / "c.py")}), print, lambda: None)
    assert isinstance(refused, Failed)
    assert refused.reason == f"{home / 'elsewhere' / 'c.py'} {NOT_ALLOWED}"
    await executor.close()
