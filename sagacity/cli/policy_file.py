"""A policy in a file, TOML or JSON: an [analysis] as a deployment declares it, or a [threshold] as peers do."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, cast

import jsonschema
import msgspec

from domain import analysis, threshold
from domain.analysis import Analysis
from domain.counterfactual import Policy
from domain.threshold import Threshold
from sagacity.cli import UserError

_KINDS: Final[Mapping[str, type[Policy]]] = {"analysis": Analysis, "threshold": Threshold}


def read_policy(file: str) -> Policy:
    """Raises UserError with every fault."""
    document = _document(file)
    faults = [f"{name}: a policy is an [analysis] or a [threshold]" for name in document if name not in _KINDS]
    declared = {name: document[name] for name in _KINDS if name in document}
    if len(declared) != 1:
        faults.append(f"declares {len(declared)} policies: one [analysis] or one [threshold] is wanted")
    for name, section in declared.items():
        faults += [f"{name}{fault}" for fault in _faults(_KINDS[name], section)]
    if faults:
        raise UserError(f"{file}: {'; '.join(faults)}")
    ((name, section),) = declared.items()
    return msgspec.convert(section, _KINDS[name])


def _document(file: str) -> Mapping[str, Any]:
    """As JSON has it: a time of TOML is text, and what JSON has no number for is none."""
    try:
        text = Path(file).read_text("utf-8")
        document = msgspec.json.decode(text) if text.lstrip()[:1] == "{" else tomllib.loads(text)
        return msgspec.json.decode(msgspec.json.encode(document), type=dict[str, Any])
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{file} is neither TOML nor JSON: {error}") from error


def _faults(kind: type[Policy], section: Any) -> list[str]:
    """What contradicts itself is only looked for where every field is right by itself."""
    try:
        policy = msgspec.convert(section, kind)
    except msgspec.ValidationError as error:
        validator: Any = jsonschema.Draft202012Validator(msgspec.json.schema(kind))
        return [fault for each in validator.iter_errors(section) for fault in _sentences(each)] or [f": {error}"]
    match policy:
        case Analysis():
            return [f": {fault}" for fault in analysis.faults(policy)]
        case Threshold():
            return [f": {fault}" for fault in threshold.faults(policy)]


def _sentences(error: Any) -> Iterator[str]:
    """Of a value that may be missing, what is wrong with it when it is there."""
    options = [each for each in cast(list[Any], error.context or ()) if each.validator_value != "null"]
    if options:
        for each in options:
            yield from _sentences(each)
    else:
        yield f"{''.join(f'/{part}' for part in error.absolute_path)}: {str(error.message)[:200]}"
