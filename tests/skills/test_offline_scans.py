"""Dependencies and secrets: what files alone can tell, and what no answer may tell."""

import json

import pytest

from skills.offline.dependency_scan import dependency_scan
from skills.offline.secret_scan import secret_scan
from tests.skills.asking import ask, context, refused


def found(scan):
    return {(each["rule"], each["line"], each["severity"]) for each in scan["findings"]}


def scanned(folder, name, text, **given):
    (folder / name).write_text(text)
    return ask(dependency_scan, path=str(folder), **given)


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("flask\n", ("unpinned", 1, "medium")),
        ("# a comment\nflask>=2  # and another\n", ("unpinned", 2, "low")),
        ("flask==2.*\n", ("unpinned", 1, "low")),
        ("flask==2.0\n", ("unhashed", 1, "low")),
        ("a==1 \\\n  --hash=sha256:aa\nb==2\n", ("unhashed", 3, "medium")),
        ("Flask==2.0\nflask==2.1\n", ("duplicate", 2, "medium")),
        ("git+https://example.org/a/b#egg=b\n", ("not-fixed", 1, "medium")),
        ("-i http://example.org/simple\n", ("insecure-index", 1, "high")),
        ("--trusted-host example.org\n", ("insecure-index", 1, "high")),
        ("--extra-index-url https://example.org/simple\n", ("second-index", 1, "medium")),
        ("what is this\n", ("unreadable", 1, "medium")),
    ],
)
def test_what_is_wrong_in_a_requirements_file(tmp_path, text, finding):
    assert finding in found(scanned(tmp_path, "requirements.txt", text))


@pytest.mark.parametrize(
    "text",
    [
        "a==1 --hash=sha256:aa\nb==2 \\\n  --hash=sha256:bb \\\n  --hash=sha256:cc\n",
        "-r other.txt\n--no-binary :all:\n-e .\n",
        "git+https://example.org/a/b@0123456789012345678901234567890123456789#egg=b\n",
        "a==1 ; python_version < '3.12' --hash=sha256:aa\na==2 ; python_version >= '3.12' --hash=sha256:aa\n",
    ],
)
def test_what_is_fixed_is_no_finding(tmp_path, text):
    assert scanned(tmp_path, "requirements.txt", text)["findings"] == []


def test_of_a_project_its_groups_are_read_and_ranges_are_low(tmp_path):
    scan = scanned(
        tmp_path,
        "pyproject.toml",
        '[project]\ndependencies = ["a==1.0", "b>=2"]\n[project.optional-dependencies]\nx = ["c"]\n'
        '[dependency-groups]\ndev = ["d==4", {include-group = "x"}]\n[build-system]\nrequires = ["e==5"]\n'
        '[tool.poetry.dependencies]\npython = "^3.11"\nf = "^1.2"\n',
    )
    assert {(each["name"], each["version"], each["group"], each["line"]) for each in scan["dependencies"]} == {
        ("a", "1.0", "project", 2),
        ("b", "", "project", 2),
        ("c", "", "x", 4),
        ("d", "4", "dev", 6),
        ("e", "5", "build-system", 8),
        ("f", "", "poetry", 11),
    }
    assert found(scan) == {("unpinned", 2, "low"), ("unpinned", 4, "low"), ("unpinned", 11, "low")}


def test_of_npm_ranges_scripts_sources_and_a_missing_lock_file_are_told(tmp_path):
    package = {
        "dependencies": {"a": "1.2.3", "b": "*", "c": "github:x/y", "d": "^1.0.0"},
        "peerDependencies": {"e": "*"},
        "scripts": {"postinstall": "node x.js", "test": "y"},
    }
    text = json.dumps(package, indent=1)
    assert found(scanned(tmp_path, "package.json", text)) == {
        ("no-lock-file", 1, "medium"),
        ("unpinned", 4, "medium"),
        ("not-fixed", 5, "medium"),
        ("unpinned", 6, "low"),
        ("install-script", 12, "medium"),
    }
    (tmp_path / "package-lock.json").write_text("{}")
    assert ("unpinned", 4, "low") in found(scanned(tmp_path, "package.json", text))


@pytest.mark.parametrize("name", ["pyproject.toml", "package.json"])
def test_a_file_that_cannot_be_read_is_a_finding(tmp_path, name):
    assert ("unreadable", 1, "medium") in found(scanned(tmp_path, name, "[[["))


def test_two_files_with_different_pins_are_told(tmp_path):
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "requirements.txt").write_text("a==1\n")
    scan = scanned(tmp_path, "requirements.txt", "x==0\na==2\n")
    assert ("differing-pins", 1, "medium") in found(scan)


ADVISORY = {"package": "Requests", "versions": "<2.31,>=2", "id": "ADV-1", "message": "leaks"}


def test_vulnerable_versions_are_known_by_the_given_list_and_only_by_it(tmp_path):
    text = "requests==2.30\nrequests-mock==2.30\n"
    without = scanned(tmp_path, "requirements.txt", text)
    assert (without["checked_against"], "ADV-1" in str(without)) == (0, False)
    scan = scanned(tmp_path, "requirements.txt", text, advisories=[ADVISORY])
    assert ("ADV-1", 1, "high") in found(scan)
    assert scan["counts"]["high"] == 1
    assert scan["checked_against"] == 1
    fixed = scanned(tmp_path, "requirements.txt", "requests==2.31\n", advisories=[ADVISORY])
    assert fixed["counts"]["high"] == 0


def test_advisories_that_are_none_are_all_named(tmp_path):
    wrong = [ADVISORY | {"id": "ADV-2", "versions": "below 3"}, ADVISORY | {"id": "ADV-3", "versions": "~3"}]
    reason = refused(dependency_scan, path=str(tmp_path), advisories=wrong)
    assert "ADV-2" in reason
    assert "ADV-3" in reason


def test_passwords_in_addresses_are_not_told(tmp_path):
    text = "git+https://ann:geheim@example.org/a/b\nx @ git+https://geheim@example.org/x\n--- https://geheim@x\n"
    (tmp_path / "package.json").write_text('{"dependencies": {"a": "git+https://geheim@example.org/a.git"}}')
    scan = scanned(tmp_path, "requirements.txt", text)
    assert ("not-fixed", 1, "medium") in found(scan)
    assert "geheim" not in json.dumps(scan)


AWS, TOKEN, PASSWORD = "AKIA3T5DPLQXGH4JZ2W1", "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8", "tr0ub4dor-and-3"


def test_secrets_are_found_with_their_kind_and_place_and_never_told(tmp_path):
    (tmp_path / ".github").mkdir()
    (tmp_path / ".github" / "ci.yml").write_text(f"a: b\nenv: {AWS}\n")
    (tmp_path / "settings.py").write_text(f'x = 1\nTOKEN = "{TOKEN}"\npassword = "{PASSWORD}"\nname = "ann"\n')
    (tmp_path / ".env").write_text("KEY=1\n-----BEGIN RSA PRIVATE KEY-----\n")
    (tmp_path / "noise.bin").write_bytes(bytes(range(256)))
    scan = ask(secret_scan, path=str(tmp_path))
    assert {(each["file"], each["line"], each["rule"], each["severity"]) for each in scan["findings"]} >= {
        (".github/ci.yml", 2, "aws-access-key", "high"),
        ("settings.py", 2, "github-token", "high"),
        ("settings.py", 3, "secret-keyword", "medium"),
        (".env", 2, "private-key", "high"),
    }
    assert not [each for each in scan["findings"] if (each["file"], each["line"]) == ("settings.py", 4)]
    told = json.dumps(scan)
    assert not [secret for secret in (AWS, TOKEN, PASSWORD) if secret in told]
    assert scan["kinds"]["aws-access-key"] == 1


def test_strings_that_look_like_chance_are_only_told_where_they_are_asked_for(tmp_path):
    (tmp_path / "a.py").write_text('digest = "8f14e45fceea167a5a36dedd4bea2543"\n')
    assert [each["rule"] for each in ask(secret_scan, path=str(tmp_path))["findings"]] == ["hex-high-entropy-string"]
    assert ask(secret_scan, path=str(tmp_path), entropy=False)["findings"] == []


@pytest.mark.parametrize("scan", [dependency_scan, secret_scan])
def test_scans_read_only_what_is_granted(tmp_path, scan):
    assert "may be read" in refused(scan, context(read=("/no/such/place",)), path=str(tmp_path))
