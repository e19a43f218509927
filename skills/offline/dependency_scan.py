"""What can be known of dependencies without a network: how they are asked for, and what a given list says of them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Annotated, Final, NamedTuple

from msgspec import Meta, Struct
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion

from domain.skill import RetryPolicy
from skills.offline import requirements
from skills.offline.findings import Counts, Finding, Severity, Unread, counted, ranked
from skills.offline.places import files_of
from skills.offline.requirements import Asked, Ecosystem, Entry, Option, Wrong
from skills.skill import Context, SkillFailed, skill

_TOOL: Final = "dependency_scan"
_LOCKS: Final = frozenset({"package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml", "bun.lock"})
_REQUIREMENTS: Final = re.compile(r"(^|[-_.])(requirements|constraints)([-_.].*)?\.(txt|in|lock)$")
_VERSIONED: Final = re.compile(r"(git|hg|svn|bzr)\+")
_INDEXES: Final = frozenset({"-i", "--index-url", "--extra-index-url", "-f", "--find-links"})


class Advisory(Struct, frozen=True, forbid_unknown_fields=True):
    """What is known of some versions of a package. `versions` is as PEP 440 has it, such as `<2.31,>=2`."""

    package: str
    versions: str
    id: str
    message: str
    ecosystem: Ecosystem = "pypi"
    severity: Severity = "high"


class Scan(Struct, frozen=True, forbid_unknown_fields=True):
    """Requirements files, pyproject.toml and package.json at or below `path`. `advisories` are what is known of
    versions: no such list is shipped."""

    path: str
    advisories: Annotated[tuple[Advisory, ...], Meta(max_length=100_000)] = ()


class Dependency(Struct, frozen=True):
    """`version` is empty where more than one is taken."""

    ecosystem: Ecosystem
    name: str
    specifier: str
    version: str
    file: str
    line: int
    group: str


class Scanned(Struct, frozen=True):
    """`checked_against` is the number of advisories that were given: with 0 nothing is known of vulnerable versions."""

    findings: tuple[Finding, ...]
    dependencies: tuple[Dependency, ...]
    reviewed: tuple[str, ...]
    unread: tuple[Unread, ...]
    counts: Counts
    checked_against: int


class Manifest(NamedTuple):
    file: str
    entries: Sequence[Entry]
    locked: bool = False
    """A lock file stands beside it."""


@skill(
    "dependency_scan",
    capabilities=("dependency_scan", "security", "python", "javascript"),
    runs="process",
    timeout=120.0,
    retry=RetryPolicy(attempts=2),
    effects=False,
)
def dependency_scan(asked: Scan, context: Context) -> Scanned:
    """Reads requirements files, pyproject.toml and package.json: what is not pinned, not hashed, asked for twice or
    differently, comes from elsewhere than a registry or runs a script when installed. Without a network: whether a
    version is vulnerable or yanked is told only by the advisories that are given."""
    faults = [fault for each in asked.advisories if (fault := _unusable(each))]
    if faults:
        raise SkillFailed(f"advisories: {'; '.join(faults[:20])}", retryable=False)
    place = files_of(asked.path, context, (".txt", ".in", ".lock", ".toml", ".json", ".yaml"))
    beside = set(place.files)
    manifests = list[Manifest]()
    for file in place.files:
        text = (place.root / file).read_text(errors="replace")
        folder, name = PurePosixPath(file).parent, PurePosixPath(file).name
        if _REQUIREMENTS.search(name):
            manifests.append(Manifest(file, list(requirements.of_requirements(text))))
        elif name == "pyproject.toml":
            manifests.append(Manifest(file, list(requirements.of_pyproject(text))))
        elif name == "package.json":
            locked = any((folder / lock).as_posix() in beside for lock in _LOCKS)
            manifests.append(Manifest(file, list(requirements.of_package_json(text)), locked))
    findings = ranked(findings_of(manifests, asked.advisories))
    dependencies = tuple(
        Dependency(e.ecosystem, e.name, e.specifier, e.version, m.file, e.line, e.group)
        for m in manifests
        for e in m.entries
        if isinstance(e, Asked)
    )
    reviewed = tuple(each.file for each in manifests)
    return Scanned(findings, dependencies, reviewed, place.unread, counted(findings), len(asked.advisories))


def findings_of(manifests: Sequence[Manifest], advisories: Sequence[Advisory]) -> Iterator[Finding]:
    """Pure: nothing is read."""
    for manifest in manifests:
        asked = [each for each in manifest.entries if isinstance(each, Asked)]
        yield from _of_entries(manifest)
        yield from _unhashed(manifest, asked)
        yield from _twice(manifest.file, asked)
        if asked and asked[0].ecosystem == "npm" and not manifest.locked:
            yield Finding(manifest.file, 1, "no-lock-file", "medium", "no lock file stands beside it", _TOOL)
        yield from (found for each in asked for found in _advised(manifest.file, each, advisories))
    yield from _differing(manifests)


def _of_entries(manifest: Manifest) -> Iterator[Finding]:
    file = manifest.file
    for each in manifest.entries:
        match each:
            case Wrong(line, reason):
                yield Finding(file, line, "unreadable", "medium", reason, _TOOL)
            case Option(line, name, value) if name in _INDEXES and value.startswith("http://"):
                yield Finding(file, line, "insecure-index", "high", f"{name} without TLS", _TOOL)
            case Option(line, "--trusted-host", _):
                yield Finding(file, line, "insecure-index", "high", "a host whose certificate is not checked", _TOOL)
            case Option(line, "--extra-index-url", _):
                message = "a second index: a package of the same name there may be taken instead"
                yield Finding(file, line, "second-index", "medium", message, _TOOL)
            case Option(line, "preinstall" | "install" | "postinstall" as name, _):
                yield Finding(file, line, "install-script", "medium", f"{name} runs when it is installed", _TOOL)
            case Option():
                pass
            case Asked():
                yield from _pinned(manifest, each)


def _pinned(manifest: Manifest, asked: Asked) -> Iterator[Finding]:
    """A library's own ranges, and those beside a lock file, are as they should be: low."""
    if asked.fixed or asked.group == "peerDependencies":
        return
    if asked.url:
        message = f"{asked.name} is fetched from {requirements.without_users(asked.url)[:200]} without a commit or hash"
        yield Finding(manifest.file, asked.line, "not-fixed", "medium", message, _TOOL)
        return
    anything = asked.specifier in ("", "*", "latest", "x")
    ranged = manifest.locked or manifest.file.endswith(("pyproject.toml", ".in"))
    severity: Severity = "low" if ranged or not anything else "medium"
    message = f"{asked.name} {'in any version' if anything else f'in a range of versions: {asked.specifier}'}"
    yield Finding(manifest.file, asked.line, "unpinned", severity, message[:500], _TOOL)


def _unhashed(manifest: Manifest, asked: Sequence[Asked]) -> Iterator[Finding]:
    if not _REQUIREMENTS.search(PurePosixPath(manifest.file).name):
        return
    without = [each for each in asked if not (each.hashed or each.version == "local" or _VERSIONED.match(each.url))]
    if without and len(without) < len(asked):
        for each in without:
            message = f"{each.name} has no hash, others in this file have"
            yield Finding(manifest.file, each.line, "unhashed", "medium", message, _TOOL)
    elif without:
        message = f"none of {len(without)} requirements has a hash"
        yield Finding(manifest.file, without[0].line, "unhashed", "low", message, _TOOL)


def _twice(file: str, asked: Sequence[Asked]) -> Iterator[Finding]:
    seen: dict[tuple[str, str, str], Asked] = {}
    for each in asked:
        first = seen.setdefault((each.name, each.group, each.marker), each)
        if first is not each:
            message = f"{each.name} is asked for in line {first.line} too"
            yield Finding(file, each.line, "duplicate", "medium", message, _TOOL)


def _differing(manifests: Sequence[Manifest]) -> Iterator[Finding]:
    pinned: defaultdict[tuple[str, str], list[tuple[str, Asked]]] = defaultdict(list)
    for manifest in manifests:
        for each in manifest.entries:
            if isinstance(each, Asked) and each.version and not each.marker:
                pinned[each.ecosystem, each.name].append((manifest.file, each))
    for (_, name), places in pinned.items():
        file, first = places[0]
        for other, each in places[1:]:
            if each.version != first.version:
                message = f"{name} is {each.version} here and {first.version} at {file}:{first.line}"
                yield Finding(other, each.line, "differing-pins", "medium", message, _TOOL)


def _advised(file: str, asked: Asked, advisories: Sequence[Advisory]) -> Iterator[Finding]:
    for each in advisories:
        known = canonicalize_name(each.package) if each.ecosystem == "pypi" else each.package
        if (known, each.ecosystem) != (asked.name, asked.ecosystem) or not asked.version:
            continue
        try:
            met = SpecifierSet(each.versions).contains(asked.version, prereleases=True)
        except InvalidVersion:
            continue
        if met:
            message = f"{asked.name} {asked.version}: {each.message}"[:1_000]
            yield Finding(file, asked.line, each.id, each.severity, message, _TOOL)


def _unusable(advisory: Advisory) -> str:
    try:
        SpecifierSet(advisory.versions)
    except InvalidSpecifier as error:
        return f"{advisory.id}: {error}"
    return ""
