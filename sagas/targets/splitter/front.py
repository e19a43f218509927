"""A front: a port that stays the same while the releases behind it and their weights change.

For every request it looks anew where it leads, so a new route needs no reconnecting and cuts nothing off.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Final

import aiohttp
from aiohttp import hdrs, web

from domain.measurement import Reading
from sagas.targets.problem import problem
from sagas.targets.splitter.counting import FrontCounts
from sagas.targets.splitter.forwarding import HEADER_SIZE, AnswerLost, let_go_on, passed_on, relay, url
from sagas.targets.splitter.outcome import Outcome
from sagas.targets.splitter.port import Arm, Route
from sagas.targets.splitter.split import Split
from sagas.targets.splitter.websocket import asks_for_websocket, bridge, connect

_RETRY_WITHIN: Final = 1.0
"""Seconds in which a request that got no answer may be sent again."""

_PAUSE: Final = 0.025
_IDEMPOTENT: Final = (hdrs.METH_GET, hdrs.METH_HEAD)

_Answer = aiohttp.ClientResponse | aiohttp.ClientWebSocketResponse


class Front:
    """Listens from `listen` to `close`. `in_flight` is shared by all fronts: requests by the key of their arm."""

    def __init__(self, name: str, session: aiohttp.ClientSession, in_flight: Counter[str]) -> None:
        self._name = name
        self._session = session
        self._in_flight = in_flight
        self._counts = FrontCounts()
        self._route = Route()
        self._split = Split(())
        server = web.Server(
            self._answer,
            handler_cancellation=True,
            auto_decompress=False,
            access_log=None,
            max_line_size=HEADER_SIZE,
            max_field_size=HEADER_SIZE,
        )
        self._runner = web.ServerRunner(server, shutdown_timeout=5.0)

    async def listen(self, host: str, port: int) -> None:
        """Raises OSError when the port is taken."""
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host, port, backlog=1024).start()
        except OSError:
            await self._runner.cleanup()
            raise

    def route(self, route: Route) -> None:
        self._counts.routed(tuple(arm.key for arm in route.arms))
        self._route = route
        self._split = Split(route.arms)

    def reading(self, epoch: str) -> Reading:
        return self._counts.reading(epoch)

    async def close(self) -> None:
        """Takes no more requests; those in flight get 5 s."""
        await self._runner.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if not request.raw_path.startswith("/"):
            return problem(400, f"the request target {request.raw_path[:200]!r} is not a path")
        await let_go_on(request)
        retries = _Retries(request)
        while True:
            arm = self._place(request, retries.refused)
            if arm is None and not retries.refused:
                return problem(503, f"the front {self._name} leads to no release", retry_after=1)
            if arm is not None:
                answered = await self._attempt(request, arm, retries)
                if answered is not None:
                    return answered
            if arm is None or arm.key not in retries.refused:
                retries.refused.clear()
                await asyncio.sleep(_PAUSE)

    def _place(self, request: web.BaseRequest, refused: set[str]) -> Arm | None:
        header = self._route.sticky_header
        value = request.headers.get(header) if header else None
        return self._split.of(value, refused) if value else self._split.next(refused)

    async def _attempt(self, request: web.BaseRequest, arm: Arm, retries: _Retries) -> web.StreamResponse | None:
        """None: send it again."""
        outcome = Outcome(request, self._counts.arm(arm.key), self._route.incident_header)
        in_flight, key = self._in_flight, arm.key
        in_flight[key] += 1
        try:
            try:
                answer = await self._ask(request, arm)
            except (aiohttp.ClientError, OSError, ValueError) as error:
                return self._without_answer(error, key, retries, outcome)
            return await _pass_back(request, answer, outcome)
        except asyncio.CancelledError:
            outcome.abandoned()
            raise
        finally:
            in_flight[key] -= 1
            if not in_flight[key]:
                del in_flight[key]

    def _without_answer(
        self, error: Exception, key: str, retries: _Retries, outcome: Outcome
    ) -> web.StreamResponse | None:
        if isinstance(error, aiohttp.WSServerHandshakeError):
            outcome.answered_websocket(error.status)
            return problem(error.status, f"the release refused the WebSocket: {error.message}")
        again = retries.allow(error, key)
        # A request that reached the release and got no answer is an error of it, also when another one answers.
        if not again or isinstance(error, AnswerLost):
            outcome.unanswered()
        if again:
            return None
        return problem(502, f"the release behind the front {self._name} gave no answer: {type(error).__name__}")

    async def _ask(self, request: web.BaseRequest, arm: Arm) -> _Answer:
        """Raises aiohttp.ClientConnectorError when nothing was sent, AnswerLost, and other errors of aiohttp."""
        to, headers = url(request, arm.port), passed_on(request)
        if asks_for_websocket(request):
            return await connect(self._session, to, headers)
        body = request.content if request.body_exists else None
        return await self._session.request(request.method, to, headers=headers, data=body, allow_redirects=False)


async def _pass_back(request: web.BaseRequest, answer: _Answer, outcome: Outcome) -> web.StreamResponse:
    async with answer:
        if isinstance(answer, aiohttp.ClientWebSocketResponse):
            outcome.answered_websocket(101)
            return await bridge(request, answer)
        response, end = await relay(request, answer)
        match end:
            case "whole":
                outcome.answered(answer.status)
            case "cut":
                outcome.unanswered()
            case "abandoned":
                outcome.abandoned()
        return response


class _Retries:
    """Whether a request that got no answer may be sent again; `refused` are the arms that took no connection."""

    def __init__(self, request: web.BaseRequest) -> None:
        self.refused: set[str] = set()
        self._deadline = time.monotonic() + _RETRY_WITHIN
        self._repeatable = request.method in _IDEMPOTENT and not request.body_exists

    def allow(self, error: Exception, arm: str) -> bool:
        if time.monotonic() > self._deadline:
            return False
        if isinstance(error, aiohttp.ClientConnectorError):
            self.refused.add(arm)
            return True  # nothing was sent
        # Something may have happened: reads only, and once, or a request that crashes releases crashes it for long.
        once = self._repeatable and isinstance(error, AnswerLost)
        self._repeatable = False
        return once
