"""The docs cannot lie: their examples are run, their links lead somewhere, their generated pages are up to date."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.up import running_platform

ROOT = Path(__file__).parents[2]
DEFAULT_URL = "http://127.0.0.1:8000"
REFUSED = 22  # curl's exit status for an HTTP status of 400 and above
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
EXAMPLE = re.compile(r"^```bash (run|refused)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
GOES_ON = re.compile(r"^Goes on where \[[^]]*\]\(([^)]*)\) ends", re.MULTILINE)
LINK = re.compile(r"\]\((?!https?://)([^)#]*)#?([^)]*)\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
TESTED = re.compile(
    r"`((?:tests|benchmarks|domain|sagas|eventstore|handlers|models|records|projections|api|sagacity)/(?!\{)[^`:]*)"
)

_LONG = ("agents", "analysis", "audit-trail", "backups", "models", "predicting", "progressive-delivery", "workflows")
LONG = {f"docs/{page}.md" for page in _LONG}
"""Pages that take as long as all others together; they are gone through right before the crash matrix."""


def name(page):
    return str(page.relative_to(ROOT))


WITH_EXAMPLES = [
    pytest.param(page, id=name(page), marks=[pytest.mark.matrix] if name(page) in LONG else [])
    for page in PAGES
    if EXAMPLE.search(page.read_text())
]


def leads_somewhere(page, path, part):
    """`part` is a heading, as web pages name it."""
    there = page.parent / path if path else page
    if not part:
        return there.exists()
    headings = HEADING.findall(there.read_text()) if there.exists() else []
    return part in [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]


class Reader:
    """Somebody who copies a page's examples into one shell, in a directory that looks like the repository's."""

    def __init__(self, directory: Path, url: str) -> None:
        self._directory = directory
        self._url = url
        self._read: set[Path] = set()

    def read(self, page: Path) -> None:
        """Once; the page that this one goes on from comes first."""
        if page in self._read:
            return
        self._read.add(page)
        for before in GOES_ON.findall(page.read_text()):
            self.read(page.parent / before)
        script = self._directory / "examples.sh"
        script.write_text(_script(page).replace(DEFAULT_URL, self._url))
        ran = subprocess.run(
            ["bash", "-eu", str(script)],
            cwd=self._directory,
            env=_ordinary_environment() | {"CURL_HOME": str(self._directory)},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert ran.returncode == 0, f"{page.name}\n{ran.stdout}\n{ran.stderr}"


def _script(page: Path) -> str:
    """The examples as they stand, one after the other; one that is to be refused must fail."""
    parts: list[str] = []
    for number, (kind, code) in enumerate(EXAMPLE.findall(page.read_text()), 1):
        parts.append(f"echo '# example {number}' | tee /dev/stderr\n")
        parts.append(code if kind == "run" else f"if\n{code}then false; else test $? = {REFUSED}; fi\n")
    return "".join(parts)


def _ordinary_environment() -> dict[str, str]:
    """A reader's shell: no virtual environment yet, and none of the variables that a page may have forgotten to set."""
    own = str(Path(sys.executable).parent)
    path = os.pathsep.join(part for part in os.environ["PATH"].split(os.pathsep) if part != own)
    kept = {name: os.environ[name] for name in ("HOME", "USER", "LANG", "TMPDIR") if name in os.environ}
    return {**kept, "PATH": path}


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    directory = tmp_path_factory.mktemp("repository")
    (directory / ".venv").symlink_to(sys.prefix)
    (directory / ".curlrc").write_text("show-error\nfail-with-body\n")
    (directory / ".sagacity").mkdir()
    # A target that is away is given up on sooner, so that the page on paused sagas is quick to go through.
    read = Path(__file__).parents[2] / "skills"  # what a page has reviewed
    (directory / ".sagacity" / "sagacity.toml").write_text(f'retry_attempts = 3\nskill_paths = ["{read}"]\n')
    with running_platform(directory / ".sagacity") as up:
        yield Reader(directory, up.url)


@pytest.mark.timeout(400)
@pytest.mark.parametrize("page", WITH_EXAMPLES)
def test_a_reader_can_copy_every_example_of_a_page_as_it_stands(reader, page):
    """Only the port is another one, so that the tests can run beside a platform of yours."""
    reader.read(page)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_and_every_path_that_is_named_leads_somewhere(page):
    text = page.read_text()
    missing = [f"{path}#{part}" for path, part in LINK.findall(text) if not leads_somewhere(page, path, part)]
    missing += [path for path in TESTED.findall(text) if not (ROOT / path).exists()]
    assert not missing


def test_the_generated_pages_are_what_the_program_would_write():
    command = [sys.executable, "-m", "sagacity", "docs", "--out", str(ROOT / "docs" / "reference"), "--check"]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert ran.returncode == 0, f"run `make docs`: {ran.stdout}{ran.stderr}"
