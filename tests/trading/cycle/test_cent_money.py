"""Money is rounded in the account's currency and to its decimals, once, whoever books it."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from backtest.day.live_day import exact_usd
from engine.inputs.parameters import build_params
from engine.outputs.tables import TRADE_COLUMNS, money_text, trade_row
from engine.records import Trade, new_record
from novosky.errors import BrokerError
from tests.helpers.mt5.runs import open_mt5, trade_server
from tests.helpers.mt5.stage import stage
from tests.helpers.paper_runs import (
    Scenario,
    backtest_outcome,
    planted_bars,
    replay_outcome,
    scattered_ml_settings,
    settings_with,
)
from trading.brokers.simulated.accounts import AccountTerms
from trading.brokers.simulated.opening import terms_from_settings
from trading.brokers.simulated.store import MemoryStore

COSTS = {"commission_per_lot": 2.0, "swap_long": -3.0, "swap_short": 1.0, "slippage": 0.5}


def cent_scenario(bars: int = 150) -> Scenario:
    return Scenario(
        planted_bars(bars),
        settings=settings_with(
            account_type="cent", costs=COSTS, risk_profile={"starting_balance_usd": 30.0}, max_consecutive_losses=50
        ),
    )


@pytest.mark.parametrize(
    ("kind", "digits", "scale"),
    [("standard", 2, 100.0), ("cent", 2, 10_000.0), ("cent", 0, 100.0), ("standard", 3, 1e3)],
)
def test_engine_and_terminal_book_to_the_same_unit(kind: str, digits: int, scale: float) -> None:
    settings = settings_with(account_type=kind, account={"currency_digits": digits})
    assert build_params(settings, scattered_ml_settings()).money_scale == scale
    assert terms_from_settings(settings).money_scale == scale


def test_backtest_and_bot_write_the_same_bytes_of_a_cent_account(tmp_path: Path) -> None:
    scenario = cent_scenario()
    expected = backtest_outcome(scenario, tmp_path)
    assert replay_outcome(scenario, tmp_path) == expected
    rows = [dict(zip(TRADE_COLUMNS, row, strict=True)) for row in expected.trade_rows]
    assert len(rows) > 5
    for row in rows:
        due = -2 * 2.0 * 0.01 * float(row["volume"])
        assert float(row["commission"]) == pytest.approx(due, abs=1.1e-4)
        assert float(row["commission"]) < 0.0
        assert len(row["balance"].partition(".")[2]) == 4


def test_the_adapter_reads_what_a_cent_account_booked(tmp_path: Path) -> None:
    scenario = cent_scenario()
    session = open_mt5(scenario, tmp_path / "j.sqlite", trade_server(scenario, MemoryStore()))
    session.finish()
    assert session.outcome(scenario, tmp_path) == backtest_outcome(scenario, tmp_path)


def test_a_file_of_a_dollar_account_keeps_its_two_decimals(tmp_path: Path) -> None:
    text = backtest_outcome(Scenario(planted_bars(120)), tmp_path).trades.decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert rows
    assert {
        len(row[name].partition(".")[2]) for row in rows for name in ("profit", "commission", "swap", "balance")
    } == {2}


def test_an_account_that_books_to_other_decimals_is_refused_with_the_line_to_write() -> None:
    play = stage(account=AccountTerms(login=1, leverage=100, limit_positions=1, currency_digits=3), connect=False)
    with pytest.raises(BrokerError, match=r'books to 3 decimals .* set "currency_digits": 3 in its section account'):
        play.broker.connect()


def test_text_of_money_keeps_what_was_booked() -> None:
    trade = new_record(Trade)
    trade.side, trade.commission, trade.swap, trade.balance = 1, -0.0004, -0.00001, 29.9996
    assert trade_row(trade, 2, 4)[-4:] == ["0.0000", "-0.0004", "0.0000", "29.9996"]
    assert trade_row(trade, 2, 0)[-1] == "30.00"
    assert money_text(1.005, 3) == "1.005"


@pytest.mark.parametrize(
    ("usd", "scale", "text"), [(0.00025, 10_000.0, "0.0003"), (0.125, 100.0, "0.13"), (2.5, 1.0, "3")]
)
def test_the_day_replay_reckons_in_what_is_booked(usd: float, scale: float, text: str) -> None:
    assert str(exact_usd(usd, scale)) == text
