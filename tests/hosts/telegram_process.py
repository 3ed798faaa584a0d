"""A process that obeys commands until it is killed: `telegram_process.py PORT FOLDER`."""

from __future__ import annotations

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


class Scribe(Bot):
    """Writes every order down as it is carried out."""

    def obey(self, order: str) -> str:
        with (folder / "orders.txt").open("a") as stream:
            stream.write(f"{order}\n")
        return order


if __name__ == "__main__":
    folder = Path(sys.argv[2])
    bot = Scribe()
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
