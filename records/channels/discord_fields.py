"""What people filled in at Discord: options of a command, a tapped component, the inputs of a modal.

https://discord.com/developers/docs/interactions/receiving-and-responding#interaction-object-interaction-data,
https://discord.com/developers/docs/components/reference
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple, cast

from records.channels.payload import Part

_SUBCOMMANDS: Final = (1, 2)
_ATTACHMENT: Final = 11
_FILE_UPLOAD: Final = 19
_DEEPEST: Final = 8


class Fields(NamedTuple):
    """An option or input that is called `text` is the message's text, all others are its fields."""

    text: str
    data: dict[str, Any]
    attachments: list[Part]


def given(data: Part) -> Fields:
    """Options of a command, also those of its subcommands."""
    values: dict[str, Any] = {}
    files: list[Part] = []
    waiting = data.parts("options")
    while waiting:
        option = waiting.pop(0)
        if option.fields.get("type") in _SUBCOMMANDS:
            waiting += option.parts("options")
        elif option.fields.get("type") == _ATTACHMENT:
            files += _resolved(data, [option.id("value")])
        else:
            values[option.needed("name")] = option.fields.get("value")
    return _read(values, files)


def tapped(data: Part) -> Fields:
    """A button, or the values of a menu."""
    values = _values(data)
    return Fields(", ".join(values), {"choice": data.text("custom_id"), **({"values": values} if values else {})}, [])


def submitted(data: Part) -> Fields:
    """Inputs of a modal, in rows (type 1) or under labels (type 18)."""
    values: dict[str, Any] = {}
    files: list[Part] = []
    for part in _inputs(data, 0):
        if part.fields.get("type") == _FILE_UPLOAD:
            files += _resolved(data, _values(part))
        elif "value" in part.fields or "values" in part.fields:
            values[part.needed("custom_id")] = part.fields.get("value", _values(part))
    return _read(values, files)


def _inputs(part: Part, depth: int) -> list[Part]:
    if depth > _DEEPEST:
        part.faults.append(f"{part.path} is nested too deeply")
        return []
    inner = part.parts("components") + ([part.part("component")] if part.fields.get("component") else [])
    return [found for one in inner for found in (one, *_inputs(one, depth + 1))]


def _read(values: dict[str, Any], files: list[Part]) -> Fields:
    text = values.pop("text") if isinstance(values.get("text"), str) else ""
    return Fields(text, values, files)


def _values(part: Part) -> list[str]:
    values = part.fields.get("values")
    return [one for one in cast(list[Any], values) if isinstance(one, str)] if isinstance(values, list) else []


def _resolved(data: Part, ids: list[str]) -> list[Part]:
    known = data.part("resolved").part("attachments")
    for id in ids:
        if id not in known.fields:
            known.faults.append(f"{known.path}/{id} is missing")
    return [known.part(id) for id in ids if id in known.fields]
