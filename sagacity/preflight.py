"""What can be known before anything is started."""

from __future__ import annotations

from sagacity.embedded.directory import CannotStart, address_fault
from sagacity.settings import Settings


def check_settings(settings: Settings) -> None:
    """Raises CannotStart with every reason why a platform with these settings would not do its work."""
    faults = [_database_fault(settings), _address_fault(settings)]
    if any(faults):
        raise CannotStart("; ".join(fault for fault in faults if fault))


def needs_own_database(settings: Settings) -> bool:
    """Whoever has the log here has the database here too, unless another is named.

    On a log elsewhere, only the roles that fill and read a database need one.
    """
    at_the_log = settings.nats_url is None
    return settings.database_url is None and (at_the_log or bool({"api", "projector"} & settings.role))


def _database_fault(settings: Settings) -> str | None:
    """Nobody reaches the database of another machine's data directory, so one of its own is of use only where it is
    both filled and read. Where the log is embedded too, others on this machine may be pointed at both."""
    if settings.nats_url is None or settings.database_url is not None:
        return None
    match "api" in settings.role, "projector" in settings.role:
        case True, False:
            return "--database-url is missing: role api reads what a projector fills, and none fills a database here"
        case False, True:
            return "--database-url is missing: role projector fills what an api reads, and none reads a database here"
        case (True, True) | (False, False):
            return None


def _address_fault(settings: Settings) -> str | None:
    return address_fault(settings.host, settings.port) if "api" in settings.role else None
