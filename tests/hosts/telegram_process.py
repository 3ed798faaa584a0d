"""A process that obeys commands and dies at a moment of its own: `telegram_process.py PORT FOLDER ORDERS DELAY`.

It is killed DELAY seconds after its ORDERS-th order, whatever it does then: the timer's signal has no
handler, so nothing is closed or written. Counted by orders and not by a clock outside, the kill falls
into the middle of the work on a fast machine and on a slow one alike.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from random import Random

from pydantic import SecretStr

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from alerts.telegram.access import TelegramAccess
from alerts.telegram.service import TelegramService
from novosky.clock import RealClock
from novosky.database.place import sqlite_url
from tests.alerts.telegram.test_commands import Bot
from tests.hosts.telegram_host import OWNER, TOKEN
from trading.journal import Journal

AFTERWARDS = 20
"""Orders that may be carried out while the timer runs, so that on no machine all are done before the last start."""


class Scribe(Bot):
    """Writes every order down as it is carried out, and winds up the timer at the last one it is given time for."""

    left: int

    def obey(self, order: str) -> str:
        with (folder / "orders.txt").open("a") as stream:
            stream.write(f"{order}\n")
        self.left -= 1
        if self.left == 0:
            signal.setitimer(signal.ITIMER_REAL, delay)
        if self.left == -AFTERWARDS:
            signal.pause()
        return order


if __name__ == "__main__":
    folder, delay = Path(sys.argv[2]), float(sys.argv[4])
    bot = Scribe()
    bot.left = int(sys.argv[3])
    service = TelegramService(
        TelegramAccess(SecretStr(TOKEN), (OWNER,), f"http://127.0.0.1:{sys.argv[1]}"),
        Journal(sqlite_url(folder / "bot.db"), symbol="BTCUSD", durable=True, channels=("telegram",)).outbox,
        bot,
        bot,
        ledger=folder / "telegram.json",
        clock=RealClock(),
        rng=Random(1),
        new_code=lambda: "1",
    )
    while True:
        service.poller.poll()
