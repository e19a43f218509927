"""What files of requirements ask for: of pip, of pyproject.toml and of npm's package.json."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, NamedTuple, cast

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

Ecosystem = Literal["pypi", "npm"]
_HASH: Final = re.compile(r"\s--hash[= ]\S+")
_COMMENT: Final = re.compile(r"(^|\s)#.*$")
_OPTION: Final = re.compile(r"^(-{1,2}[a-z-]+)(?:[ =]+(.*))?$")
_NPM_GROUPS: Final = ("dependencies", "devDependencies", "optionalDependencies", "peerDependencies")
_REMOTE: Final = re.compile(r"^(git|github:|gitlab:|bitbucket:|https?:|[\w.-]+/[\w.-]+($|#))")
_USER: Final = re.compile(r"(?<=://)[^/@\s]+@")
_COMMIT: Final = re.compile(r"[@#][0-9a-f]{40}\b")


class Asked(NamedTuple):
    """One requirement. `version` is the only version that it takes (empty where it takes more); `specifier` is what it
    says; `url` where it is fetched from; `group`: the part of the file that it stands in."""

    ecosystem: Ecosystem
    name: str
    line: int
    specifier: str = ""
    version: str = ""
    url: str = ""
    hashed: bool = False
    group: str = ""
    marker: str = ""

    @property
    def fixed(self) -> bool:
        return bool(self.version) or bool(_COMMIT.search(self.url)) or (bool(self.url) and self.hashed)


class Option(NamedTuple):
    """A line of a requirements file that is no requirement."""

    line: int
    name: str
    value: str


class Wrong(NamedTuple):
    """What could not be understood."""

    line: int
    reason: str


Entry = Asked | Option | Wrong


def without_users(url: str) -> str:
    """Names and passwords before a host are nobody's to read."""
    return _USER.sub("", url)


def of_requirements(text: str) -> Iterator[Entry]:
    """In pip's format, https://pip.pypa.io/en/stable/reference/requirements-file-format/"""
    for line, logical in _logical(text):
        option = _OPTION.match(logical)
        if option and option[1] not in ("-e", "--editable"):
            yield Option(line, option[1], (option[2] or "").strip())
        else:
            spec = _HASH.sub("", logical)
            yield _python(re.sub(r"^(-e|--editable)[ =]+", "", spec), line, "", hashed=spec != logical)


def _logical(text: str) -> Iterator[tuple[int, str]]:
    """Lines that go on after a backslash as one, without comments."""
    begun, whole = 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        begun = begun or number
        goes_on = line.endswith("\\")
        whole += " " + _COMMENT.sub("", line.removesuffix("\\")).strip()
        if not goes_on:
            if whole.strip():
                yield begun, whole.strip()
            begun, whole = 0, ""
    if whole.strip():
        yield begun, whole.strip()


def _python(spec: str, line: int, group: str, hashed: bool = False) -> Asked | Wrong:
    if re.match(r"^(\.|/|file:)", spec):
        return Asked("pypi", spec, line, url=spec, version="local", group=group)
    if re.match(r"^(git\+|hg\+|https?://)", spec):
        egg = re.search(r"#egg=([\w.-]+)", spec)
        return Asked(
            "pypi",
            egg[1] if egg else without_users(spec),
            line,
            url=spec,
            hashed=hashed or "sha256=" in spec,
            group=group,
        )
    try:
        found = Requirement(spec.split(" --", maxsplit=1)[0])
    except InvalidRequirement as error:
        said = f"no requirement: {spec[:100]}: {str(error).splitlines()[0]}"
        return Wrong(line, without_users(said)[:300])
    exact = [each.version for each in found.specifier if each.operator in ("==", "===") and "*" not in each.version]
    url, marker = found.url or "", str(found.marker or "")
    hashed = hashed or "sha256=" in url
    name = canonicalize_name(found.name)
    return Asked("pypi", name, line, str(found.specifier), (exact or [""])[0], url, hashed, group, marker)


def of_pyproject(text: str) -> Iterator[Entry]:
    """Of `project`, `build-system`, dependency groups (PEP 735) and Poetry."""
    try:
        found: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        yield Wrong(1, f"no TOML: {error}")
        return
    project = _table(found, "project")
    groups = {"project": project.get("dependencies"), "build-system": _table(found, "build-system").get("requires")}
    groups |= _table(project, "optional-dependencies") | _table(found, "dependency-groups")
    for group, specs in groups.items():
        for spec in cast(list[object], specs) if isinstance(specs, list) else ():
            if isinstance(spec, str):
                yield _python(spec, _line_of(text, rf"[\"']{re.escape(spec)}[\"']"), group)
    poetry = _table(_table(found, "tool"), "poetry")
    for name, spec in _table(poetry, "dependencies").items():
        if name != "python" and isinstance(spec, str):
            version = spec.removeprefix("==") if re.match(r"^(==)?\d[\w.]*$", spec) else ""
            yield Asked(
                "pypi", canonicalize_name(name), _line_of(text, rf"^{re.escape(name)}\b"), spec, version, group="poetry"
            )


def of_package_json(text: str) -> Iterator[Entry]:
    """Of npm. A script that runs when it is installed is an Option."""
    try:
        found: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        yield Wrong(1, f"no JSON: {error}")
        return
    if not isinstance(found, dict):
        yield Wrong(1, "no JSON object")
        return
    document = cast(dict[str, Any], found)
    for group in _NPM_GROUPS:
        for name, spec in _table(document, group).items():
            line = _line_of(text, f'"{re.escape(name)}"')
            yield _npm(name, str(spec), line, group)
    for name, script in _table(document, "scripts").items():
        if name in ("preinstall", "install", "postinstall", "prepare"):
            yield Option(_line_of(text, f'"{name}"'), name, str(script))


def _npm(name: str, spec: str, line: int, group: str) -> Asked:
    if re.match(r"^(file:|link:|workspace:)", spec):
        return Asked("npm", name, line, spec, "local", spec, group=group)
    if _REMOTE.match(spec):
        return Asked("npm", name, line, without_users(spec), url=spec, group=group)
    version = spec.removeprefix("=") if re.match(r"^=?\d+\.\d+\.\d+[\w.+-]*$", spec) else ""
    return Asked("npm", name, line, spec, version, group=group)


def _table(found: Mapping[str, Any], name: str) -> dict[str, Any]:
    inner: object = found.get(name)
    return cast(dict[str, Any], inner) if isinstance(inner, dict) else {}


def _line_of(text: str, what: str) -> int:
    """Of the first place that a pattern matches."""
    found = re.search(what, text, re.MULTILINE)
    return text.count("\n", 0, found.start()) + 1 if found else 1
