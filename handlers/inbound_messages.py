"""Events of other systems that are messages: those of a source that is registered, of the platform `cloudevents`."""

from __future__ import annotations

import asyncio

from domain import record, source
from domain.source import Configuration
from eventstore.aggregates import Aggregates
from eventstore.blobs import Blobs
from eventstore.envelope import now
from eventstore.subjects import is_valid_id
from handlers.command import Caller, Directive, Fault, InvalidCommand
from handlers.command_handler import CommandHandler
from records.channels import CHANNELS
from records.channels.errors import NotUnderstood
from records.intake import keep


class InboundMessages:
    """Puts them on the record, as if they had been posted to the address of their source."""

    def __init__(self, aggregates: Aggregates, blobs: Blobs, handler: CommandHandler) -> None:
        self._aggregates = aggregates
        self._blobs = blobs
        self._handler = handler

    async def take(self, source_id: str, raw: bytes, caller: Caller) -> None:
        """Nothing, where there is no such source. Raises InvalidCommand with every fault, LogUnavailable."""
        configuration = await self._configuration(source_id)
        if configuration is None:
            return
        try:
            incoming = await asyncio.to_thread(CHANNELS["cloudevents"].messages, raw, source_id, None, now())
        except NotUnderstood as error:
            raise InvalidCommand([Fault("", each) for each in error.faults]) from error
        for each in incoming:
            kept = await keep(self._blobs, configuration, each)
            directive = Directive(
                id=kept.command_id, category=record.record.category, stream_id=kept.record_id, command=kept.command
            )
            await self._handler.direct([directive], caller)

    async def _configuration(self, source_id: str) -> Configuration | None:
        """A source with a secret takes only what is delivered with it: here nobody is asked for one."""
        if not is_valid_id(source_id):
            return None
        known = (await self._aggregates.load(source.source, source_id, latest=True)).state
        if not isinstance(known, source.Known) or known.closed:
            return None
        found = known.configuration
        return found if found.platform == "cloudevents" and found.secret is None else None
