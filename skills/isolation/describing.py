"""What a module offers that is not trusted: asked in isolation, for importing it is running it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from importlib import import_module
from typing import Any, Final

import msgspec
from msgspec import Struct, structs

from domain.skill import Isolation, Specification
from eventstore.envelope import new_id, now
from skills.isolation.exchange import BOUNDS, Call, Undone
from skills.isolation.processes import isolated
from skills.isolation.rights import stricter
from skills.skill import Context, Security, Skill, System, User, skill, skills_of

_PATIENCE: Final = timedelta(seconds=60)


class Offer(Struct, frozen=True):
    """`function` is its qualified name."""

    name: str
    specification: Specification
    module: str
    function: str


class NotDescribed(Exception):
    """The module cannot be imported, or offers nothing."""


@skill("describe_module", runs="isolated", effects=False)
def offers(module: str, context: Context) -> list[dict[str, Any]]:
    """The skills that are marked in a module."""
    found = skills_of(import_module(module))
    named = [
        Offer(each.name, each.specification, each.function.__module__, each.function.__qualname__) for each in found
    ]
    return msgspec.to_builtins(named, str_keys=True)


async def untrusted(modules: Iterable[str], may: Isolation) -> tuple[Skill[Any, Any], ...]:
    """Skills that are never imported here, each held to what it asks for itself and to what it `may`. Raises
    NotDescribed with every reason at once."""
    found: list[Skill[Any, Any]] = []
    faults: list[str] = []
    for module in modules:
        described = await _described(module)
        if isinstance(described, str):
            faults.append(f"{module}: {described}")
        else:
            found += [_held(offer, may) for offer in described]
    if faults:
        raise NotDescribed("; ".join(faults))
    return tuple(found)


async def _described(module: str) -> list[Offer] | str:
    system = System(new_id(), new_id(), "describe", 1, now() + _PATIENCE, new_id())
    here, name = offers.__module__, offers.__qualname__
    call = Call(here, name, msgspec.json.encode(module), User(), system, Security("worker", network=False))
    answer = await isolated(call, Isolation(), BOUNDS, lambda _: None)
    if isinstance(answer, Undone):
        return answer.reason
    try:
        return msgspec.json.decode(answer.output, type=list[Offer]) or "it offers no skill"
    except msgspec.DecodeError as error:
        return f"what it offers is no skill: {error}"


def _held(offer: Offer, may: Isolation) -> Skill[Any, Any]:
    isolation = stricter(offer.specification.isolation or Isolation(), may)
    specification = structs.replace(offer.specification, isolation=isolation)
    return Skill(offer.name, specification, "isolated", _elsewhere(offer), object, object)


def _elsewhere(offer: Offer) -> Any:
    def function(given: Any, context: Context) -> Any:
        raise RuntimeError(f"{offer.name} is not trusted: it is called in isolation only")

    function.__module__, function.__qualname__ = offer.module, offer.function
    return function
