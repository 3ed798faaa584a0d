"""The MetaTrader 5 adapter over the simulated terminal keeps the broker's contract."""

from __future__ import annotations

from pathlib import Path

from tests.contracts.broker import BrokerContract, Row, Terms
from tests.helpers.mt5.stage import Mt5Stage, stage


class TestMt5Broker(BrokerContract):
    def stage(self, folder: Path, rows: list[Row], terms: Terms, slots: list[int] | None = None) -> Mt5Stage:
        return stage(rows, terms, slots=slots)
