"""How a delivery fails: each class has one reaction of `alerts.delivery.Delivery`."""

from __future__ import annotations


class UnreachableError(Exception):
    """The host did not answer properly; the message may have arrived. Try again later."""


class SlowDownError(Exception):
    """The host asks to wait `seconds`."""

    def __init__(self, seconds: float, host: str = "the host") -> None:
        super().__init__(f"{host} asks to wait {seconds:g} s")
        self.seconds = seconds


class PlaceClosedError(Exception):
    """The place (a chat, an address) does not take this message now, and may later.

    Attributes
    ----------
    certain : bool
        It is certainly the place: it takes nothing from this program. Otherwise the host did not
        say that it was the message, which is taken for the same until another message arrives.
    """

    def __init__(self, reason: str, *, certain: bool = True) -> None:
        super().__init__(reason)
        self.certain = certain


class RefusedError(Exception):
    """The host will never take this message as it is: the message itself is malformed."""


class AccessRefusedError(Exception):
    """The token or secret is not, or no longer, valid."""


class InterruptedCallError(Exception):
    """The call was ended by `interrupt`."""


FAILURES = (UnreachableError, SlowDownError, PlaceClosedError, RefusedError, AccessRefusedError)
"""All that `Channel.deliver` raises for reasons outside this program."""
