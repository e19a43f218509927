"""What docs/operating.md says of the settings is what the program takes, and nothing else is taken silently."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sagacity.settings import Settings, SettingsError, load_settings

PAGE = Path(__file__).parents[2] / "docs" / "operating.md"


def table() -> dict[str, str]:
    """Setting → default, as the page tells it."""
    rows = re.findall(r"^\| `(\w+)` \|.*\| (.+) \|$", PAGE.read_text(), re.MULTILINE)
    return {name: default.strip("`") for name, default in rows}


def test_the_page_lists_every_setting_and_no_other() -> None:
    assert list(table()) == list(Settings.model_fields)


def test_the_page_tells_every_default() -> None:
    defaults = {name: field.default for name, field in Settings.model_fields.items()}
    defaults["role"], defaults["skill_paths"] = "all of them", "none"
    told = table()
    assert {name: told[name] for name in defaults if defaults[name] is not None} == {
        name: f"{default:g}" if isinstance(default, float) else str(default)
        for name, default in defaults.items()
        if default is not None
    }


@pytest.mark.parametrize(
    ("variable", "fault"),
    [
        ("SAGACITY_ROLES", "SAGACITY_ROLES: there is no such setting; did you mean SAGACITY_ROLE?"),
        ("SAGACITY_NATS_URLS", "SAGACITY_NATS_URLS: there is no such setting; did you mean SAGACITY_NATS_URL?"),
        ("SAGACITY_XYZZY", "SAGACITY_XYZZY: there is no such setting"),
    ],
)
def test_a_variable_that_is_no_setting_is_a_fault(tmp_path: Path, variable: str, fault: str) -> None:
    with pytest.raises(SettingsError) as error:
        load_settings({"data": tmp_path}, {variable: "x"})
    assert str(error.value) == fault


def test_all_of_them_are_named_at_once_with_those_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "sagacity.toml").write_text('ports = 1\nlog_levels = "INFO"\n')
    with pytest.raises(SettingsError) as error:
        load_settings({"data": tmp_path}, {"SAGACITY_ROLES": "api", "SAGACITY_HOSTS": "h", "SAGACITY_PORT": "x"})
    assert {fault.where for fault in error.value.faults} == {
        *("SAGACITY_ROLES", "SAGACITY_HOSTS", "SAGACITY_PORT"),
        *("ports in the settings file", "log_levels in the settings file"),
    }
    assert "ports in the settings file: there is no such setting; did you mean port?" in str(error.value)


def test_variables_that_other_parts_read_are_no_faults() -> None:
    others = ("SAGACITY_URL", "SAGACITY_CRASH_SEED", "SAGACITY_ES_NAMESPACE", "SAGACITY_ES_REPLICAS")
    assert (
        load_settings({}, dict.fromkeys((*others, "SAGACITY_ES_TIMEOUT", "SHOP_SAGACITY_NATS_URL"), "x")).port == 8000
    )


def test_every_variable_that_the_program_reads_elsewhere_is_known_to_the_settings() -> None:
    """Grep, so that a new variable is not taken for a mistake."""
    root = PAGE.parents[1]
    packages = ("api", "benchmarks", "domain", "eventstore", "handlers", "models", "projections", "sagacity", "sagas")
    sources = [file for package in (*packages, "records") for file in (root / package).rglob("*.py")]
    read = {name for file in sources for name in re.findall(r"\"(SAGACITY_[A-Z_]+[A-Z])\"", file.read_text())}
    assert "SAGACITY_URL" in read
    for name in read - {f"SAGACITY_{field.upper()}" for field in Settings.model_fields}:
        load_settings({}, {name: "x"})
