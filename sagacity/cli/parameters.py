"""Parameter types with errors that say what is expected."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Final

import click

from domain.decider import ID


class _Position(click.ParamType[int]):
    name = "N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        if not (str(value).isascii() and str(value).isdigit()) or len(str(value)) > 18:
            self.fail(f"{value!r} is no position (0, 1, 2 …)", param, ctx)
        return int(value)


class _Moment(click.ParamType[int | datetime]):
    name = "POSITION|TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | datetime:
        if isinstance(value, int | datetime):
            return value
        if str(value).isdigit():
            return POSITION.convert(value, param, ctx)
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no position and no time such as 2026-11-21T12:00:00Z", param, ctx)
        return moment.replace(tzinfo=moment.tzinfo or UTC)


class _Category(click.ParamType[str]):
    name = "CATEGORY"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if re.fullmatch(ID, value) is None:
            self.fail(f"{value!r} is no category (one word, such as deployment)", param, ctx)
        return value


POSITION: Final = _Position()
MOMENT: Final = _Moment()
CATEGORY: Final = _Category()
