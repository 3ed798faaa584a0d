"""`novosky status` and `novosky trades`: what a trader looks at each day."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from commands.main import cli
from engine.inputs.parameters import build_params
from engine.records import Guard, Trade, from_text, new_record
from novosky.database.place import sqlite_url
from tests.helpers.command_line import ROOT
from tests.helpers.paper_runs import (
    Scenario,
    finish,
    go_on_until,
    open_scenario,
    planted_bars,
    scattered_ml_settings,
    settings_with,
)
from trading.journal import BotStatus, Journal, NewsEvent
from trading.reports.health import Health, OpenTrade, Verdict
from trading.reports.status import DailyStatus, limits_of, status_lines, status_values
from trading.reports.trades import net_of, trade_lines

CLOSE = 1_715_076_900
"""2024-05-07 10:15 UTC, a Tuesday."""


def guard_of(**changes: float) -> Guard:
    guard = new_record(Guard)
    values = {"equity": 985.5, "day_equity": 1000.0, "week_peak": 1010.0, "day_losses": 1, "halt_balance": 1000.0}
    for name, value in (values | changes).items():
        setattr(guard, name, value)
    return guard


def shown(guard: Guard | None = None, **changes: Any) -> DailyStatus:
    settings = settings_with(
        risk_profile={"starting_balance_usd": 1000.0},
        max_daily_loss=5.0,
        max_weekly_drawdown_pct=10.0,
        max_total_drawdown_pct=30.0,
        max_consecutive_losses=3,
    )
    status = BotStatus("demo account ...123", CLOSE, 40, 1, 9, 982.0, guard or guard_of(), "rf", finished=False)
    trade = OpenTrade(7, 1, 0.12, 63_500.0, 63_000.0, 64_500.0)
    health = Health(
        "running", CLOSE - 7200, CLOSE, 4711, "demo account ...123", CLOSE, 40, 1, 985.5, 982.0, trade, (), "rf", "f",
        {}, "UTC", {},
    )  # fmt: skip
    values: dict[str, Any] = {
        "place": "logs/novosky.sqlite",
        "settings": settings,
        "params": build_params(settings, scattered_ml_settings()),
        "status": status,
        "health": health,
        "verdict": Verdict(True, "0 bar(s) behind the market"),
        "decision": {"action": "hold", "side": None, "gates": None, "candidate": None, "spread": 1.0},
        "intents": [],
        "news": [NewsEvent(CLOSE + 3600, "USD", "CPI y/y", "high")],
        "calendar": "missing: the bot trades without it (news.missing)",
        "closed_today": 2,
        "frozen": False,
        "now": CLOSE + 120.0,
    }
    return DailyStatus(**values | changes)


def test_without_a_known_release_the_state_of_the_calendar_is_said() -> None:
    said = fields(shown(news=[]))["news"]
    assert said.startswith("no release that counts is known to come; calendar missing: the bot trades without it")


def fields(status: DailyStatus) -> dict[str, str]:
    found: dict[str, str] = {}
    name = ""
    for line in status_lines(status):
        assert len(line) <= 80
        name = line[:17].strip() or name
        found[name] = f"{found.get(name, '')} {line[17:].strip()}".strip()
    return found


def test_the_status_shows_money_position_limits_decision_and_news() -> None:
    read = fields(shown())
    assert read["bot"] == "BTCUSD M15, running since 2024-05-07T08:15:00Z, pid 4711"
    assert read["position"] == "long 0.12 lots from 63500.00, stop 63000.00, target 64500.00, floating +3.50 USD"
    assert read["money"] == "equity 985.50 USD, balance 982.00 USD"
    assert read["today"] == "-14.50 USD since 00:00 UTC, 2 trades closed"
    assert read["this week"] == "-24.50 USD from its highest equity"
    assert read["losses in a row"] == "1 of 3 losses (33%)"
    assert read["daily loss"] == "14.50 of 50.00 USD (29%)"
    assert read["weekly drawdown"] == "24.50 of 101.00 USD (24%)"
    assert read["hard halt"] == "14.50 of 300.00 USD (5%)"
    assert read["entries"] == "allowed"
    assert read["last decision"] == "2024-05-07T10:15:00Z: hold"
    assert read["next bar"] == "closes 10:30 UTC"
    assert read["news"].startswith("USD CPI y/y at 2024-05-07T11:15:00Z, in 58 min")


def test_what_keeps_the_bot_from_entering_is_named() -> None:
    latched = fields(shown(guard_of(day_blocked=1, day_losses=3, paused_until=CLOSE + 3600), frozen=True))
    assert latched["daily loss"].startswith("REACHED, until 00:00 UTC")
    for words in ("freeze flag", "equity curve pause until 2024-05-07T11:15:00Z", "limit reached: day", "losses in a"):
        assert words in latched["entries"], words
    assert fields(shown(health=None))["position"] == "not known here, floating +3.50 USD"
    assert fields(shown(now=CLOSE + 86_400.0))["today"] == "no bar of this UTC day yet"
    assert "NOT OK: stopped" in fields(shown(verdict=Verdict(False, "stopped")))["health"]
    bare = replace(shown().health or pytest.fail(), position=OpenTrade(7, -1, 0.1, 1.0, 0.0, 2.0))
    assert "short 0.1 lots from 1.00, NO stop, target 2.00" in fields(shown(health=bare))["position"]


def test_the_limits_are_reached_where_the_engine_latches_them() -> None:
    params = shown().params
    at = {limit.name: limit for limit in limits_of(guard_of(equity=950.0), params)}
    assert at["daily loss"].share == pytest.approx(1.0)
    assert {limit.name: limit.used for limit in limits_of(guard_of(equity=1100.0), params)}["daily loss"] == 0.0


def test_the_values_are_flat_and_plain() -> None:
    values = status_values(shown())
    assert json.loads(json.dumps(values)) == values
    assert (values["side"], values["stop"], values["daily_loss_used"], values["daily_loss_limit"]) == (
        "long",
        63_000.0,
        14.5,
        50.0,
    )


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("daily") / "journal.sqlite"
    session = open_scenario(Scenario(planted_bars(250)), path)
    finish(session)
    session.close()
    return path


def invoke(*arguments: object) -> Result:
    settings = ["--config", ROOT / "config.json"]
    more = ["--ml-config", ROOT / "ml_config.json"] if arguments[0] == "status" else []
    return CliRunner().invoke(cli, [str(argument) for argument in (*arguments, *settings, *more)])


def closed_trades(journal: Path) -> list[Trade]:
    books = Journal(sqlite_url(journal), symbol="BTCUSD", durable=True, read_only=True)
    try:
        return [from_text(Trade, content) for content in books.trades()]
    finally:
        books.close()


def test_trades_are_a_table_with_totals_within_80_columns(journal: Path) -> None:
    trades = closed_trades(journal)
    assert len(trades) > 10
    result = invoke("trades", "--journal", journal, "--last", "1000")
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert len(lines) == len(trades) + 4
    assert all(len(line) <= 80 for line in lines)
    net = sum(map(net_of, trades))
    wins = sum(net_of(trade) > 0.0 for trade in trades)
    assert lines[-2] == f"{len(trades)} trades, {wins} won ({wins / len(trades):.1%}), net {net:+.2f} USD"
    assert lines[-1].startswith("profit factor ")
    few = invoke("trades", "--journal", journal, "--last", "3").output.splitlines()
    assert few[1:4] == lines[len(trades) - 2 : len(trades) + 1]
    assert "fewer than 10 trades say nothing" in few[-2]
    assert few[-1] == f"{len(trades) - 3} older ones are not shown; --last {len(trades)} shows all"


def test_trades_can_be_asked_for_from_a_date_and_as_json_or_csv(journal: Path) -> None:
    trades = closed_trades(journal)
    middle = trades[len(trades) // 2]
    since = np.datetime64(int(middle.exit_time), "s").astype(str)
    read = json.loads(invoke("trades", "--journal", journal, "--since", since, "--json").output)
    assert len(read) == sum(trade.exit_time >= middle.exit_time for trade in trades)
    assert read[0]["net"] == round(net_of(trades[len(trades) - len(read)]), 2)
    table = invoke("trades", "--journal", journal, "--csv").output.splitlines()
    assert len(table) == len(trades) + 1
    assert table[0].startswith("entry_time,side,volume")
    both = invoke("trades", "--journal", journal, "--csv", "--json")
    assert both.exit_code != 0
    nothing = invoke("trades", "--journal", journal, "--since", "2199-01-01")
    assert nothing.output.splitlines()[-1] == "no closed trade"


def test_the_status_of_a_journal_is_read_beside_its_bot(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    session = open_scenario(Scenario(planted_bars(150)), path)
    go_on_until(session, lambda: bool(session.broker.positions()))
    result = invoke("status", "--journal", path)
    values = json.loads(invoke("status", "--journal", path, "--json").output)
    assert result.exit_code == 0, result.output
    assert "last decision" in result.output
    assert values["equity"] == round(float(session.bot.status.guard.equity), 2)
    assert values["last_decision"].endswith("filled")
    session.close()
    assert invoke("status", "--journal", tmp_path / "none.sqlite").exit_code != 0


def test_a_table_of_long_words_and_large_sums_still_fits() -> None:
    trade = new_record(Trade)
    trade.exit_time, trade.entry_time, trade.side, trade.reason = CLOSE, CLOSE - 900, -1, 4
    trade.volume, trade.entry_price, trade.exit_price, trade.profit, trade.risk = (
        12.34,
        123456.78,
        99999.99,
        -9999.99,
        1,
    )
    assert all(len(line) <= 80 for line in trade_lines([trade], 2))
