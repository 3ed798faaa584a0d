"""The switches a person throws while the bot runs: pause, freeze, close, halt.

They are thrown in one thread and obeyed in another: only the bot's own thread talks to the
broker. So an order is written down where it survives the process, and the bot's thread is
woken to carry it out; thrown twice, it is still one order.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from novosky.clock import Clock
from novosky.errors import StorageError
from novosky.supervision.freeze import FREEZE_FLAG, freeze, is_frozen, unfreeze
from trading.cycle.unknown_orders import UNKNOWN_ORDERS
from trading.journal import Flag

PAUSED, CLOSE, HALT = "paused", "close_requested", "halt_requested"


class FlagStore(Protocol):
    """Switches that survive a restart, see `trading.journal.history`."""

    def set_flag(self, name: str, value: str, time: int) -> None:
        """Set a switch."""

    def clear_flag(self, name: str) -> None:
        """Take a switch away."""

    def flag(self, name: str) -> Flag | None:
        """Return a switch, or None."""


class Switches:
    """Orders of a person, kept in the journal and, for the freeze, in its file.

    The upper half of the methods is `alerts.views.BotControls`, the lower one is what
    the bot's own thread asks.

    Parameters
    ----------
    flags : FlagStore
    clock : Clock
    who : str
        Who throws the switches, e.g. "Telegram".
    freeze_flag : Path
    """

    def __init__(self, flags: FlagStore, clock: Clock, who: str, freeze_flag: Path = FREEZE_FLAG) -> None:
        self._flags, self._clock, self._who, self._freeze_flag = flags, clock, who, freeze_flag
        self.thrown = threading.Event()
        """Set when there is an order to carry out at once; the bot's thread waits on it between bars."""
        self.standing: Callable[[], str] = str
        """Returns where the bot stands, for the answer to whoever stops or frees its entries; empty for unknown."""

    def _with_standing(self, answer: str) -> str:
        standing = self.standing()
        return f"{answer} {standing}." if standing else answer

    def _set(self, name: str) -> None:
        self._flags.set_flag(name, self._who, math.floor(self._clock.now()))

    def pause(self) -> str:
        """Make no entries until `resume`."""
        self._set(PAUSED)
        return self._with_standing("Paused: no new entries until /resume. An open position stays managed.")

    def resume(self) -> str:
        """Lift pause and freeze."""
        self._flags.clear_flag(PAUSED)
        try:
            unfreeze(self._freeze_flag)
        except StorageError as error:
            return f"Still frozen: {error}."
        return self._with_standing(
            "Pause and freeze are lifted: entries are allowed again, unless a limit or a halt forbids them."
        )

    def freeze(self) -> str:
        """Set the freeze flag."""
        try:
            freeze(f"frozen by {self._who} at {math.floor(self._clock.now())} (UTC epoch seconds)", self._freeze_flag)
        except StorageError as error:
            # Entries must stop all the same, and the bot must not end over it: it may hold a position.
            self._set(PAUSED)
            return f"Paused instead of frozen, no new entries until /resume: {error}"
        return self._with_standing(f"Frozen: no new entries until /resume, or until {self._freeze_flag} is deleted.")

    def close_all(self) -> str:
        """Order the bot's positions closed."""
        self._set(CLOSE)
        self.thrown.set()
        return "The open positions are being closed at the market; a message follows for each."

    def halt(self) -> str:
        """Order the hard halt."""
        # A halt may take a moment to reach the bot; until then nothing is opened.
        self._set(PAUSED)
        self._set(HALT)
        self.thrown.set()
        return "Halting: positions are being closed, and trading stops until risk_profile.starting_balance_usd changes."

    def entries_stopped(self) -> bool:
        """Tell whether a person has stopped entries; True also when that cannot be found out."""
        try:
            return is_frozen(self._freeze_flag) or self._flags.flag(PAUSED) is not None
        except StorageError:
            return True

    def stops(self) -> tuple[str, ...]:
        """Return which switches stop entries, in words."""
        paused = self._flags.flag(PAUSED)
        found = [] if paused is None else [f"paused by {paused.value}"]
        if is_frozen(self._freeze_flag):
            found.append("the freeze flag is set")
        unknown = self._flags.flag(UNKNOWN_ORDERS)
        if unknown is not None:
            found.append(f"{unknown.value} was not written by this journal, until `novosky journal adopt`")
        return tuple(found)

    def close_ordered(self) -> bool:
        """Tell whether positions are to be closed; stays so until `closed`."""
        return self._flags.flag(CLOSE) is not None

    def closed(self) -> None:
        """Say that no position is open any more."""
        self._flags.clear_flag(CLOSE)

    def halt_ordered(self) -> bool:
        """Tell whether the hard halt was ordered; stays so until `halted`."""
        return self._flags.flag(HALT) is not None

    def halted(self) -> None:
        """Say that the guard's own halt stands, which outlives this order."""
        self._flags.clear_flag(HALT)
