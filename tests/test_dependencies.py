"""What is imported is declared: what only comes along with something else may be gone with its next version."""

import re
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SHIPPED = tuple(PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
RUNTIME = PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"].values()
LOCKED = re.compile(r"^([\w.-]+)==", re.MULTILINE)
IMPORT = re.compile(r"^ *(?:from (\w+)[\w.]* import |import (\w+))", re.MULTILINE)


@pytest.mark.parametrize(
    ("directories", "groups"), [(SHIPPED, RUNTIME), (("tests",), (*RUNTIME, PROJECT["dependency-groups"]["dev"]))]
)
def test_every_package_that_is_imported_is_declared_and_locked(directories, groups):
    declared = {_normal(re.split(r"[^A-Za-z0-9._-]", each)[0]) for group in groups for each in group}
    locked = set(map(_normal, LOCKED.findall((ROOT / "requirements.lock").read_text())))
    provided_by = {name: set(map(_normal, by)) - {"sagacity"} for name, by in packages_distributions().items()}
    imported = {name for directory in directories for name in _imported(ROOT / directory) if provided_by.get(name)}
    assert {"msgspec", "nats"} <= imported
    assert {name for name in imported if declared.isdisjoint(provided_by[name])} == set()
    assert declared <= locked


def _imported(directory: Path) -> set[str]:
    """Top-level names, wherever in a file."""
    found = (IMPORT.findall(file.read_text()) for file in directory.rglob("*.py"))
    return {of or name for each in found for of, name in each}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
