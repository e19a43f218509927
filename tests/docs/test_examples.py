"""The docs cannot lie: their examples are run, their links lead somewhere, their generated pages are up to date."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sagacity.demo.story import SHOP
from tests.up import running_platform

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
EXAMPLE = re.compile(r"^```bash run\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)")
TESTED = re.compile(r"`((?:tests|benchmarks|domain|sagas|eventstore|handlers|projections|api|sagacity)/[^`:]*)")

WITH_EXAMPLES = [page for page in PAGES if EXAMPLE.search(page.read_text())]


def name(page):
    return str(page.relative_to(ROOT))


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    with running_platform(tmp_path_factory.mktemp("up")) as up:
        yield up


@pytest.mark.parametrize("page", WITH_EXAMPLES, ids=name)
def test_every_example_runs_as_it_stands(platform, page):
    environment = {
        **os.environ,
        "URL": platform.url,
        "PYTHON": sys.executable,
        "SHOP": str(SHOP),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    for script in EXAMPLE.findall(page.read_text()):
        ran = subprocess.run(
            ["bash", "-euc", script.replace("curl -s", "curl -sS --fail-with-body")],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert ran.returncode == 0, f"{script}\n{ran.stdout}\n{ran.stderr}"
        assert ran.stdout


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_and_every_path_that_is_named_leads_somewhere(page):
    text = page.read_text()
    missing = [link for link in LINK.findall(text) if not (page.parent / link).exists()]
    missing += [path for path in TESTED.findall(text) if not (ROOT / path).exists()]
    assert not missing


def test_the_generated_pages_are_what_the_program_would_write():
    command = [sys.executable, "-m", "sagacity", "docs", "--out", str(ROOT / "docs" / "reference"), "--check"]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert ran.returncode == 0, f"run `make docs`: {ran.stdout}{ran.stderr}"
