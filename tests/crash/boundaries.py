"""Names for the moments at which a saga writes, so that each can be hit whatever the number of looks before it."""

from collections.abc import Iterable

import msgspec

from domain import canary, saga


def boundary(deployment_id: str, events: Iterable[msgspec.Struct]) -> str | None:
    """What one write says, in short; None for a write that is of no saga and holds no verdict."""
    written = list(events)
    said = [short for event in written if (short := _of_saga(deployment_id, event))]
    judged = [f"judged {event.step} {event.decision}" for event in written if isinstance(event, canary.Judged)]
    return "; ".join(said or judged) or None


def _of_saga(deployment_id: str, event: msgspec.Struct) -> str | None:
    match event:
        case saga.StepStarted(step):
            return f"begin {step}"
        case saga.EffectKept(key):
            return f"kept {key.removeprefix(f'{deployment_id}-')}"
        case saga.EffectUndone(key):
            return f"undone {key.removeprefix(f'{deployment_id}-')}"
        case saga.StepCompleted(step):
            return f"done {step}"
        case saga.StepRetried(step):
            return f"retried {step}"
        case saga.StepFailed(step):
            return f"failed {step}"
        case saga.VerdictHeard(step, _, decision):
            return f"heard {step} {decision}"
        case saga.StepsSkipped(steps):
            return f"skip {' '.join(steps)}"
        case saga.CompensationStarted():
            return "turn back"
        case saga.Started() | saga.Completed() | saga.Compensated() | saga.Delivered():
            return type(event).__name__.lower()
        case saga.EffectPlanned():
            return None  # always written with the beginning of its step
        case _:
            tag = str(event.__struct_config__.tag)
            return tag if tag.startswith("saga.") else None
