"""Which updates have been handled: what makes a command count once, whenever the process dies.

An update is claimed before it is handled and settled after. One that was claimed and not
settled is the one the process died over. Settled ones are remembered by their ids, not by the
highest of them: after a quiet week Telegram numbers updates anew, possibly lower, and an offset
kept from before would throw those away unread.
"""

from __future__ import annotations

import logging
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from novosky.errors import StorageError
from novosky.files import write_text

REMEMBERED = 300
"""Settled ids kept; more than Telegram ever gives again, which is one batch of 100."""

_log = logging.getLogger(__name__)


class _Ledger(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    bot: str
    settled: list[int] = []
    claimed: int | None = None


class CommandLedger:
    """The ledger of one bot, in a file replaced atomically; one that cannot be written is said once.

    Parameters
    ----------
    path : Path
    bot : str
        The bot's id; another bot's ids mean nothing here.
    """

    def __init__(self, path: Path, bot: str) -> None:
        self._path = path
        self._complained = False
        self._ledger = self._read(bot)

    def _read(self, bot: str) -> _Ledger:
        try:
            ledger = _Ledger.model_validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return _Ledger(bot=bot)
        except ValidationError:
            # Commands that were handled and not yet confirmed may come again; stops do no harm twice.
            _log.error("%s is damaged and begun anew", self._path)
            return _Ledger(bot=bot)
        except OSError as error:
            raise StorageError(f"{self._path} cannot be read ({error.strerror}); mend its permissions") from error
        return ledger if ledger.bot == bot else _Ledger(bot=bot)

    def settled(self, update_id: int) -> bool:
        """Tell whether this update has been handled."""
        return update_id in self._ledger.settled

    def interrupted(self, update_id: int) -> bool:
        """Tell whether the process died while handling it."""
        return update_id == self._ledger.claimed

    def claim(self, update_id: int) -> None:
        """Write down that this update is being handled now."""
        self._write(self._ledger.model_copy(update={"claimed": update_id}))

    def settle(self, update_id: int) -> None:
        """Write down that it has been handled."""
        settled = [*self._ledger.settled, update_id][-REMEMBERED:]
        self._write(self._ledger.model_copy(update={"settled": settled, "claimed": None}))

    def _write(self, ledger: _Ledger) -> None:
        self._ledger = ledger
        try:
            write_text(self._path, ledger.model_dump_json() + "\n")
            self._complained = False
        except StorageError as error:
            # A file that is held must not end a bot that may hold a position: this process remembers.
            if not self._complained:
                _log.warning("%s; a command of the last minutes is obeyed once more if the bot dies now", error)
            self._complained = True
