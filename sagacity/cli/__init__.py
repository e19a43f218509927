"""The command line. Every fault of the user's is one line on stderr and exit status 2."""

from __future__ import annotations

import sys
from importlib import import_module

import click

from sagacity.passwords import without_passwords

COMMANDS = {
    "up": ("up", "Run the platform until Ctrl-C or SIGTERM."),
    "demo": ("demo", "Bring the platform up and tell its story; every claim is checked."),
    "init": ("init", "Create the streams on a NATS server of yours."),
    "status": ("status", "Health of every dependency, read models with their lag."),
    "command": ("command", "Send a command and print what came of it."),
    "deployments": ("deployments", "See what is deployed where."),
    "models": ("models", "Train models, put them into production, watch them."),
    "datasets": ("datasets", "See, upload and generate datasets."),
    "sources": ("sources", "See, register and close the places that records come from."),
    "records": ("records", "Submit documents, see what was read from them and what is missing."),
    "quality": ("quality", "See what is complete, what is missing and what is being asked for."),
    "schemas": ("schemas", "See and publish the schemas that records are held to."),
    "automations": ("automations", "See, register, pause and remove rules."),
    "skills": ("skills", "See, register, route and retire skills."),
    "workflows": ("workflows", "Publish, start, follow and deal with workflows."),
    "worker": ("worker", "Carry out skills: of Python modules, or the tools of an MCP server."),
    "mcp": ("mcp", "Offer skills, workflows and read models over MCP."),
    "events": ("events", "Follow, export and import the log."),
    "projections": ("projections", "Look after the read models."),
    "replay": ("replay", "Tell what happened, who did it and why."),
    "verify": ("verify", "Read the whole log: every position, version, hash and schema."),
    "backup": ("backup", "Write the whole log and the blobs that it names."),
    "restore": ("backup", "Restore a backup into an empty log."),
    "docs": ("docs", "Write the reference of the API and of the events."),
    "role": ("role", ""),
}
"""Command → the module that defines it, and what it does in a line: a module is imported only when its command is
used, so that --help answers at once."""


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name in COMMANDS if name != "role"]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _ = COMMANDS[cmd_name]
        return getattr(import_module(f"sagacity.cli.{module}"), cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in self.list_commands(ctx)])


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="sagacity")
def sagacity() -> None:
    """The event-sourced control plane for teams that ship software and models."""


class UserError(click.ClickException):
    """Something the user can mend: shown as one line, exit status 2."""

    exit_code = 2


def main(arguments: list[str] | None = None) -> None:
    """Entry point of `sagacity`. Exits 0, 1 (a check did not hold) or 2 (the call cannot be carried out)."""
    try:
        status = sagacity.main(arguments, prog_name="sagacity", standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        sys.exit(2)
    except click.ClickException as error:
        click.echo(f"sagacity: {without_passwords(' '.join(error.format_message().split()))}", err=True)
        sys.exit(2)
    sys.exit(status if isinstance(status, int) else 0)
