"""What workers say of calls, as it comes over the wire."""

from __future__ import annotations

from typing import Final

import msgspec

from domain.workflow_course import CallFailed, CallLeased, CallProgressed
from sagas.workflows.attempts import Said, said_of
from sagas.workflows.means import foreign, run_of
from skills.protocol import Failed, Leased, Progressed, Report, Succeeded

_report: Final[msgspec.json.Decoder[Report]] = msgspec.json.Decoder(Report)


def said_in(words: list[str], payload: bytes) -> Said | None:
    """Of a report on `report.<call>.<attempt>.<what>`; None for what is none."""
    if len(words) != 4 or not words[2].isdecimal() or not run_of(words[1]):
        return None
    call, attempt, what = words[1], int(words[2]), words[3]
    try:
        report = _report.decode(payload)
    except msgspec.DecodeError as error:
        if what != "result":
            return None
        # There is no second result: whoever waits for it is not to wait in vain.
        return CallFailed(call, attempt, "error", f"what its worker said cannot be read: {error}"[:1_000])
    match report:
        case Leased(worker):
            return CallLeased(call, attempt, foreign(worker))
        case Progressed(fraction, note):
            return CallProgressed(call, attempt, fraction, note)
        case Succeeded() | Failed():
            return said_of(call, attempt, msgspec.structs.replace(report, worker=foreign(report.worker)))
