"""`sagacity docs`: the reference, generated from what the program runs on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import click

from sagacity.cli import UserError


@click.command()
@click.option("--out", required=True, metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@click.option("--check", is_flag=True, help="Write nothing; exit 1 when what stands there differs.")
@click.pass_context
def docs(context: click.Context, *, out: Path, check: bool) -> None:
    """Write openapi.json, asyncapi.json and events.md, the catalogue of all event types.

    Example:

        sagacity docs --out docs/reference
    """
    documents = reference()
    if check:
        stale = [name for name, text in documents.items() if _read(out / name) != text]
        for name in stale:
            click.echo(f"{out / name} differs: `sagacity docs --out {out}` writes it anew")
        context.exit(1 if stale else 0)
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, text in documents.items():
            (out / name).write_text(text)
    except OSError as error:
        raise UserError(f"{out} cannot be written: {error.strerror}") from error
    click.echo(f"{', '.join(documents)} are in {out}")


def reference() -> Mapping[str, str]:
    """File name → content; the same for the same program."""
    from api.app import create_app
    from api.asyncapi import asyncapi_document
    from api.services import Services
    from domain.contexts import DECIDERS
    from handlers.routes import routes_of
    from sagacity.cli.event_catalogue import event_catalogue
    from sagacity.wiring import catalogue

    # The application is described here and never served: nothing asks its services for anything.
    application = create_app(cast(Services, None))
    return {
        "openapi.json": _stable(application.openapi_schema.to_schema()),
        "asyncapi.json": _stable(asyncapi_document(catalogue(), routes_of(DECIDERS))),
        "events.md": event_catalogue(catalogue()),
    }


def _stable(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _read(file: Path) -> str | None:
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError):
        return None
