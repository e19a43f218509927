"""What a file holds that somebody wrote by hand, JSON or YAML."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from sagacity.cli import UserError

if TYPE_CHECKING:
    from yaml import Node

_TAG: Final = "tag:yaml.org,2002:"


def document_of(file: Path) -> msgspec.Raw:
    """As JSON in one line; it is YAML if its name says so. Raises UserError."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}") from error
    if file.suffix.lower() in (".yaml", ".yml"):
        return _from_yaml(content, file)
    try:
        return msgspec.Raw(msgspec.json.format(content.decode(), indent=-1).encode())
    except (msgspec.DecodeError, UnicodeError) as error:
        raise UserError(f"{file}: is no JSON: {error}") from error


def _from_yaml(content: bytes, file: Path) -> msgspec.Raw:
    import yaml

    try:
        if faults := list(_key_faults(cast(Any, yaml).compose(content, yaml.SafeLoader))):  # it has no types
            raise UserError(f"{file}: {'; '.join(faults)}")
        return msgspec.Raw(msgspec.json.encode(yaml.safe_load(content)))
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise UserError(f"{file}: is no YAML: {error}") from error


def _key_faults(root: Node | None) -> Iterator[str]:
    """What YAML would pass over in silence, or read as something else than it looks like."""
    import yaml

    known: set[int] = set()
    left: list[Any] = [root]
    while left:
        node = left.pop()
        if id(node) in known:  # an anchor that is named again, by itself too
            continue
        known.add(id(node))
        if isinstance(node, yaml.MappingNode):
            yield from _faults_of(node)
            left += [value for _, value in reversed(node.value)]
        elif isinstance(node, yaml.SequenceNode):
            left += reversed(node.value)


def _faults_of(mapping: Any) -> Iterator[str]:
    """Its keys only."""
    first: dict[tuple[str, str], int] = {}
    for key, _ in mapping.value:
        line, kind = key.start_mark.line + 1, key.tag.removeprefix(_TAG)
        if kind in ("bool", "null"):
            meant = "nothing" if kind == "null" else "true or false"
            yield f'line {line}: YAML reads the key {key.value} as {meant}; write "{key.value}"'
        if kind != "merge" and isinstance(key.value, str):
            if (kind, key.value) in first:
                yield f"line {line}: the key {key.value} is there already, in line {first[kind, key.value]}"
            first.setdefault((kind, key.value), line)
