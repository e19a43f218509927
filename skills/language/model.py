"""A language model behind an OpenAI-compatible API, asked by skills: answers are JSON by a schema, prompts and answers
are stored as they were, costs are counted before anything is sent (records/analyse/provider.py).
"""

from __future__ import annotations

import json
from typing import Any, Final, TypeVar

import msgspec

from eventstore.blobs import BlobTooLarge
from eventstore.errors import LogUnavailable
from records.analyse.provider import OverBudget, Provider, ProviderFailed
from skills.skill import Context, SkillFailed

NOT_CONFIGURED: Final = "no language model is configured"

T = TypeVar("T", bound=msgspec.Struct)


class LanguageModel:
    """The provider of records asked with prompts of skills: its budget, its retries, and what it remembers. What is
    the budget of a record there is that of one prompt here. `name` is the model's."""

    def __init__(self, provider: Provider) -> None:
        self.name = provider.settings.model
        self._provider = provider

    async def answer(self, rules: str, question: str, kind: type[T], context: Context) -> T:
        """What it costs, and the hashes of what was asked and answered, are put on the record of the call. Raises
        SkillFailed; an answer that is not of this `kind` would be the same again, and is not asked for again."""
        body = request(self.name, rules, question, kind, self._provider.settings.most_tokens)
        try:
            exchange, answer = await self._provider.exchange(body)
        except OverBudget as error:
            raise SkillFailed(f"the language model was not asked: {error}", retryable=False) from error
        except (ProviderFailed, LogUnavailable) as error:
            raise SkillFailed(f"the language model did not answer: {error}") from error
        except BlobTooLarge as error:
            raise SkillFailed(f"the prompt is too large: {error}", retryable=False) from error
        context.spend(exchange.cost)
        context.exchanged(exchange.prompt, exchange.answer)
        return content_of(answer, kind)


def request(model: str, rules: str, question: str, kind: type[msgspec.Struct], most_tokens: int) -> dict[str, Any]:
    """The body for `/chat/completions`. The same question is the same body."""
    schema = {"name": kind.__name__, "strict": True, "schema": schema_of(kind)}
    return {
        "model": model,
        "messages": [{"role": "system", "content": rules}, {"role": "user", "content": question}],
        "response_format": {"type": "json_schema", "json_schema": schema},
        "temperature": 0,
        "max_tokens": most_tokens,
    }


def schema_of(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """JSON Schema whose root is the object itself, as strict servers ask for."""
    _, components = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    root = dict(components.pop(kind.__name__))
    return root | {"$defs": components} if components else root


def content_of(answer: bytes, kind: type[T]) -> T:
    """Raises SkillFailed for what is no answer of a chat, and for a content that is not of this kind."""
    try:
        content: object = json.loads(answer)["choices"][0]["message"]["content"]
    except (ValueError, KeyError, IndexError, TypeError, RecursionError) as error:
        raise SkillFailed("the answer is none of a chat", retryable=False) from error
    if not isinstance(content, str):
        raise SkillFailed("the language model declined to answer", retryable=False)
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError) as error:
        raise SkillFailed(f"the answer is not by its schema: {error}"[:500], retryable=False) from error
