"""Secrets in files: where they are and of what kind, never what they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from msgspec import Struct

from domain.skill import RetryPolicy
from skills.offline.findings import Counts, Finding, Severity, Unread, counted, ranked
from skills.offline.places import Place, files_of
from skills.skill import Context, skill

_LIKELY: Final = frozenset({"Base64 High Entropy String", "Hex High Entropy String", "Secret Keyword"})
"""What looks like one; the other kinds are known by their form."""


class SecretScan(Struct, frozen=True, forbid_unknown_fields=True):
    """All files at `path`, or only the `files` named relative to it. `entropy`: also strings that look like chance."""

    path: str
    files: tuple[str, ...] = ()
    entropy: bool = True


class Secrets(Struct, frozen=True):
    """No value of a secret, nor a hash of one, is in it."""

    findings: tuple[Finding, ...]
    kinds: dict[str, int]
    reviewed: tuple[str, ...]
    unread: tuple[Unread, ...]
    counts: Counts


@skill(
    "secret_scan",
    capabilities=("secret_scan", "security"),
    runs="process",
    timeout=300.0,
    retry=RetryPolicy(attempts=2),
    effects=False,
)
def secret_scan(asked: SecretScan, context: Context) -> Secrets:
    """Looks for keys, tokens and passwords in files with detect-secrets: file, line and kind of each. Nothing found is
    sent anywhere to be tried, and no secret is in the answer."""
    place = files_of(asked.path, context, (), asked.files)
    findings = ranked(_found(place, asked.entropy, context))
    kinds = dict(Counter(each.rule for each in findings).most_common())
    return Secrets(findings, kinds, place.files, place.unread, counted(findings))


def _found(place: Place, entropy: bool, context: Context) -> Iterator[Finding]:
    from detect_secrets.core import scan
    from detect_secrets.settings import default_settings

    # Its default filters ask no service whether a secret is a real one.
    with default_settings() as settings:
        if not entropy:
            settings.disable_plugins("Base64HighEntropyString", "HexHighEntropyString")
        for number, file in enumerate(place.files):
            context.progress(number / len(place.files))
            every: list[Any] = list(scan.scan_file(str(place.root / file)))
            for kind, line in sorted({(str(each.type), int(each.line_number)) for each in every}):
                severity: Severity = "medium" if kind in _LIKELY else "high"
                yield Finding(file, max(line, 1), _rule(kind), severity, f"a secret: {kind}", "detect-secrets")


def _rule(kind: str) -> str:
    return kind.lower().replace(" ", "-")
