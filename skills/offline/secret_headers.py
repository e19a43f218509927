"""Headers that nobody is to read later: the record has the name of a variable, the variable has the host and the value.

    HTTP_CHECK_SHOP="shop.example Bearer abc"    {"secret_headers": {"Authorization": "HTTP_CHECK_SHOP"}}

The value is sent to that host only (with a port: to that port): whoever may have a check made could else have it sent
to themselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final

from msgspec import Meta

from skills.skill import SkillFailed

_WORDS: Final = ("auth", "cookie", "token", "secret", "passw", "credential", "session", "signature", "key")
_SECRET: Final = "|".join("".join(f"[{letter.upper()}{letter}]" for letter in word) for word in _WORDS)
"""Without flags, which JSON Schema does not have: it is part of one."""

_INSTEAD: Final = (
    "headers that may be secret would stay on the record: name a variable of the worker in `secret_headers`, such as "
    '{"Authorization": "HTTP_CHECK_SHOP"}, which holds the host and the value'
)

Open = Annotated[
    dict[str, str],
    Meta(extra_json_schema={"propertyNames": {"description": _INSTEAD, "not": {"pattern": _SECRET}}}),
]
Variable = Annotated[str, Meta(pattern=r"^HTTP_CHECK_[A-Z0-9_]{1,80}$")]


def check_open(names: Iterable[str]) -> None:
    """Raises ValueError with all that are not to be given openly."""
    secret = [name for name in names if re.search(_SECRET, name)]
    if secret:
        raise ValueError(f"{', '.join(secret)}: {_INSTEAD}")


def revealed(named: Mapping[str, str], url: Any, variables: Mapping[str, str]) -> dict[str, str]:
    """Values by header, for the host of a URL. Raises SkillFailed with all that cannot be had."""
    found = {header: variables.get(variable, "").strip().partition(" ") for header, variable in named.items()}
    hosts = {url.host, url.netloc.decode("ascii")}
    faults = [
        fault
        for header, (host, _, value) in found.items()
        if (fault := _fault(named[header], host, value.strip(), url.host, host.lower() in hosts))
    ]
    if faults:
        raise SkillFailed("; ".join(faults), retryable=False)
    return {header: value.strip() for header, (_, _, value) in found.items()}


def _fault(variable: str, host: str, value: str, asked: str, is_for_it: bool) -> str:
    if not host:
        return f"the variable {variable} is not set where the skill runs"
    if not is_for_it:
        return f"the variable {variable} is not for {asked}: its first word is the host that its value may be sent to"
    usable = value and value.isascii() and value.isprintable()
    return "" if usable else f"the variable {variable} has no value that can be sent after its host"


def without(values: Iterable[str], text: str) -> str:
    """Whoever was asked may repeat them."""
    for value in values:
        text = text.replace(value, "•••")
    return text
