"""`sagacity role`: the roles of this process. Started by `up`; not for people."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec
import uvloop

from sagacity.role_settings import RoleSettings
from sagacity.roles import run_roles


@click.command(hidden=True)
@click.argument("settings", type=click.Path(path_type=Path))
def role(settings: Path) -> None:
    """Run the roles that SETTINGS (a JSON file) names, against the servers it names, until SIGTERM."""
    uvloop.run(run_roles(msgspec.json.decode(settings.read_bytes(), type=RoleSettings)))
