"""What can go wrong between a platform and us. No text of these holds a secret.

ChannelError
├── NotGenuine          a delivery is not from who it says it is from
├── NotUnderstood       a payload does not have its platform's form; every fault is named at once
├── FetchRefused        an attachment will never be had: too large, gone, or somewhere we do not go
├── FetchFailed         an attachment was not to be had now
├── SendRefused         the same message will be refused again
└── SendFailed          it did not go out, or nobody knows
"""

from __future__ import annotations

from collections.abc import Sequence


class ChannelError(Exception):
    """Root of the tree above."""


class NotGenuine(ChannelError):
    """Answer 401, store nothing."""


class NotUnderstood(ChannelError):
    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = tuple(faults)


class FetchRefused(ChannelError):
    """The text is what stands in `Attachment.refused`."""


class SendRefused(ChannelError):
    pass


class _Failed(ChannelError):
    def __init__(self, reason: str, retryable: bool, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retryable = retryable
        self.retry_after = retry_after


class FetchFailed(_Failed):
    """`retryable`: the same call may work later, after `retry_after` seconds where the platform said so."""


class SendFailed(_Failed):
    """As FetchFailed. After a time-out it is possible that the message went out all the same."""
