"""A language model behind an OpenAI-compatible API, asked for what the rules did not find.

Every prompt and every answer is stored as it was, and costs are counted before anything is sent. What was asked once is
not asked again: neither by this process, nor where the record's earlier exchanges have the answer.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from time import perf_counter
from typing import Any, Final, NamedTuple

import httpx
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt, wait_exponential

from domain.record import Exchange
from domain.schema import Field
from eventstore.blobs import BlobMissing, Blobs
from records.analyse import prompting
from records.analyse.budget import Budget, Price

_CHARACTERS_A_TOKEN: Final = 2.0
"""At least, in the languages read here: what a prompt costs is rather overestimated."""

_REMEMBERED: Final = 1_000
_LONGEST_ANSWER: Final = 1_000_000
_LONGEST_PAUSE: Final = 30.0


class ProviderSettings(NamedTuple):
    """`url` ends where `/chat/completions` follows, such as `https://host/v1`. `prices` are by model; a model that is
    not in it cannot be used: 0 is the price of one's own. Seconds, and sums in `currency`."""

    url: str
    model: str
    key: str = ""
    prices: Mapping[str, Price] = {}
    currency: str = "EUR"
    per_day: float = 5.0
    per_record: float = 0.05
    timeout: float = 30.0
    attempts: int = 3
    pause: float = 0.5
    most_tokens: int = 1_000


class ProviderFailed(Exception):
    """It did not answer, or not as it was asked to. `exchange` is what was paid for all the same."""

    def __init__(self, reason: str, exchange: Exchange | None = None) -> None:
        super().__init__(reason)
        self.exchange = exchange


class OverBudget(Exception):
    """Nothing was asked."""


class Asked(NamedTuple):
    """`values` by path, as JSON has them. An answer that was known before has cost 0 and no tokens."""

    values: dict[str, Any]
    exchange: Exchange


class _NotNow(Exception):
    """Another attempt may succeed. `after`: seconds that the server asks for."""

    def __init__(self, reason: str, after: float = 0.0) -> None:
        super().__init__(reason)
        self.after = after


class Provider:
    """Safe for any number of concurrent callers. `name` is what exchanges call it: its host."""

    def __init__(
        self, settings: ProviderSettings, client: httpx.AsyncClient, blobs: Blobs, budget: Budget | None = None
    ) -> None:
        """Raises ValueError for a model without a price."""
        if settings.model not in settings.prices:
            raise ValueError(f"there is no price for the model {settings.model!r}: 0 is the price of one's own")
        self.settings = settings
        self.name = httpx.URL(settings.url).host
        self.budget = budget or Budget(settings.per_day, settings.per_record)
        self._price = settings.prices[settings.model]
        self._client = client
        self._blobs = blobs
        self._known: OrderedDict[str, str] = OrderedDict()
        """Answers by their prompts, both by hash."""

    async def ask(
        self,
        name: str,
        fields: Sequence[Field],
        text: str,
        language: str,
        earlier: Sequence[Exchange] = (),
    ) -> Asked:
        """For the fields of the schema `name`. Raises ProviderFailed, OverBudget, LogUnavailable."""
        body = prompting.request(self.settings.model, name, fields, text, language, self.settings.most_tokens)
        exchange, answer = await self.exchange(body, earlier)
        try:
            return Asked(prompting.values_in(_content(answer), fields, language), exchange)
        except prompting.AnswerInvalid as error:
            raise ProviderFailed(str(error), exchange) from error

    async def exchange(self, body: Mapping[str, Any], earlier: Sequence[Exchange] = ()) -> tuple[Exchange, bytes]:
        """The answer to a body for `/chat/completions`, as it came, and what is on record of it; what was answered
        before costs nothing. Raises ProviderFailed, OverBudget, BlobTooLarge, LogUnavailable."""
        raw = json.dumps(body, ensure_ascii=False).encode(errors="replace")
        prompt = await self._blobs.put(raw)
        return await self._answered(prompt, earlier) or await self._paid(prompt, raw, earlier)

    async def _answered(self, prompt: str, earlier: Sequence[Exchange]) -> tuple[Exchange, bytes] | None:
        """What the same question was answered with before."""
        answer = self._known.get(prompt) or next((each.answer for each in earlier if each.prompt == prompt), None)
        if answer is None:
            return None
        try:
            content = await self._blobs.get(answer)
        except BlobMissing:
            return None
        return Exchange(self.name, self.settings.model, prompt, answer, 0, 0, 0.0, self.settings.currency, 0.0), content

    async def _paid(self, prompt: str, raw: bytes, earlier: Sequence[Exchange]) -> tuple[Exchange, bytes]:
        day = datetime.now(UTC).date()
        most = self._price.of(round(len(raw) / _CHARACTERS_A_TOKEN), self.settings.most_tokens)
        refusal = self.budget.refusal(day, most, sum(each.cost for each in earlier))
        if refusal is not None:
            raise OverBudget(refusal)
        cost, begun = 0.0, perf_counter()
        try:
            content = await self._sent(raw)
            prompt_tokens, answer_tokens = _usage(content, raw)
            cost = self._price.of(prompt_tokens, answer_tokens)
        finally:
            self.budget.settle(day, most, cost)
        milliseconds = round((perf_counter() - begun) * 1_000, 3)
        answer = await self._blobs.put(content)
        self._remember(prompt, answer)
        exchange = Exchange(
            self.name,
            self.settings.model,
            prompt,
            answer,
            prompt_tokens,
            answer_tokens,
            cost,
            self.settings.currency,
            milliseconds,
        )
        return exchange, content

    def _remember(self, prompt: str, answer: str) -> None:
        self._known[prompt] = answer
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)

    async def _sent(self, raw: bytes) -> bytes:
        attempts = AsyncRetrying(
            stop=stop_after_attempt(self.settings.attempts),
            wait=self._wait,
            retry=retry_if_exception_type(_NotNow),
            reraise=True,
        )
        try:
            return await attempts(self._send, raw)
        except _NotNow as error:
            raise ProviderFailed(f"{self.settings.attempts} attempts failed: {error}") from error

    def _wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.after if isinstance(error, _NotNow) else 0.0
        pause = wait_exponential(multiplier=self.settings.pause, max=_LONGEST_PAUSE)(state)
        return min(max(asked, pause), _LONGEST_PAUSE)

    async def _send(self, raw: bytes) -> bytes:
        """Raises _NotNow, ProviderFailed."""
        headers = {"Content-Type": "application/json"}
        if self.settings.key:
            headers["Authorization"] = f"Bearer {self.settings.key}"
        url = f"{self.settings.url.rstrip('/')}/chat/completions"
        try:
            response = await self._client.post(url, content=raw, headers=headers, timeout=self.settings.timeout)
        except httpx.HTTPError as error:
            raise _NotNow(f"{self.name} was not reached: {error or type(error).__name__}") from error
        if response.status_code in (408, 409, 425, 429) or response.status_code >= 500:
            raise _NotNow(f"{self.name} answered {response.status_code}", _seconds(response.headers.get("retry-after")))
        if response.status_code != 200:
            raise ProviderFailed(f"{self.name} answered {response.status_code}: {response.text[:200]}")
        if len(response.content) > _LONGEST_ANSWER:
            raise ProviderFailed(f"{self.name} answered with {len(response.content)} bytes")
        return response.content


def _content(answer: bytes) -> str:
    """Raises AnswerInvalid."""
    try:
        content = json.loads(answer)["choices"][0]["message"]["content"]
    except (ValueError, KeyError, IndexError, TypeError, RecursionError) as error:
        raise prompting.AnswerInvalid("this is no answer of a chat") from error
    if not isinstance(content, str):
        raise prompting.AnswerInvalid("it declined to answer")
    return content


def _usage(answer: bytes, raw: bytes) -> tuple[int, int]:
    """Tokens, as the server counted them; where it does not say, by the size, rather too many."""
    try:
        usage = json.loads(answer)["usage"]
        return max(0, int(usage["prompt_tokens"])), max(0, int(usage["completion_tokens"]))
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
        return round(len(raw) / _CHARACTERS_A_TOKEN), round(len(answer) / _CHARACTERS_A_TOKEN)


def _seconds(retry_after: str | None) -> float:
    return float(retry_after) if retry_after is not None and retry_after.isdecimal() else 0.0
