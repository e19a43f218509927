"""Carrying out the steps of a follow-up saga.

Every attempt ends in an outcome, never in an exception: the saga decides what it means. What is sent has a key, which
goes to the platform where that takes one; where it does not, a crash right after the sending sends it again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from domain import record, saga
from domain.working_time import CalendarUnknown
from eventstore.aggregates import Aggregates
from eventstore.envelope import now
from eventstore.errors import LogUnavailable
from eventstore.store import EventStore
from records.channels.errors import SendFailed, SendRefused
from sagas.definition import Exhausted, Outcome, Perform, Rejected, SagaDefinition, Stumbled
from sagas.follow_up import KIND, listens, plan, react
from sagas.follow_up_course import follow_up_of
from sagas.follow_up_sending import Deliveries
from sagas.follow_up_work import Impossible, Send, Work
from sagas.rollout import RetryPolicy
from sagas.timers import Clock

if TYPE_CHECKING:
    import httpx

_HOURLY: Final = 3_600.0
"""Seconds between two attempts at a reminder, once the policy's are used up: it has until the deadline."""


def follow_up_saga(
    store: EventStore,
    aggregates: Aggregates,
    send: Send,
    client: httpx.AsyncClient,
    secrets: Mapping[str, str],
    retries: RetryPolicy,
    *,
    clock: Clock = now,
) -> SagaDefinition:
    """`secrets` are environment variables by name. Whoever runs the saga gives the runner the same clock."""
    work = Work(store, aggregates, send, client, secrets, clock, Deliveries(clock))

    async def perform(state: saga.Running, what: Perform) -> Outcome:
        follow_up = follow_up_of(state)
        try:
            match what.step:
                case "ask":
                    return await work.ask(follow_up, what)
                case "remind":
                    return await work.remind(follow_up, what)
                case "look":
                    return await work.look(follow_up, what)
                case _:
                    return await work.settle(follow_up, what)
        except (SendRefused, CalendarUnknown, Impossible) as error:
            return Rejected(what, str(error))
        except SendFailed as error:
            return _again(state, what, error)
        except (LogUnavailable, OSError) as error:
            number = state.attempts + 1
            return Stumbled(what, number, retries.patient(number), str(error))

    def _again(state: saga.Running, what: Perform, error: SendFailed) -> Outcome:
        number = state.attempts + 1
        delay = retries.next(number) if error.retryable else None
        if delay is None and error.retryable and what.step == "remind":
            delay = _HOURLY
        if delay is None:
            return Exhausted(what, f"{error} (after {number} attempt{'s' if number > 1 else ''})")
        return Stumbled(what, number, max(delay, error.retry_after or 0.0), str(error))

    return SagaDefinition(KIND, (record.record.category,), listens, plan, react, perform)
