"""Play one scenario through the backtest and through the bot, and compare what they leave behind."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
from sqlalchemy import URL

from alerts.notify import SilentNotifier
from backtest.model_answers import model_answers
from backtest.run import prepare, simulate
from commands.backtest import write_tables
from engine.inputs.models import Models, PositionModel, RiskModel, SltpModel
from engine.records import to_bytes
from ml.feature_engineering import get_feature_names, live_window_bars
from novosky.data.synthetic import synthetic_bars
from novosky.market.news import NewsCalendar
from novosky.market.timeframe import USUAL
from novosky.settings import MlSettings, Settings
from tests.helpers.sets.signal_models import ScatteredModel
from trading.brokers.mt5.module import TerminalModule
from trading.brokers.simulated.functions.terminal import SimulatedTerminal
from trading.paper.replay import run_replay
from trading.paper.session import PaperMarket, PaperSession, open_session
from trading.reports.exports import export_blocks, export_trades

Reach = Callable[[SimulatedTerminal], TerminalModule]
ROOT = Path(__file__).resolve().parents[2]
WARM_UP = live_window_bars(USUAL)
MARKET_BARS = 2_500
"""Bars of the market after the warm-up."""


def settings_with(**sections: Any) -> Settings:
    """Return the checkout's config.json with the given keys replaced, section by section.

    Brackets of one ATR, so that a short window holds many trades; the risk model is off.
    """
    content = json.loads((ROOT / "config.json").read_text(encoding="utf-8"))
    content["risk_management"] |= {"sl_atr_mult": 1.0, "tp_atr_mult": 1.0}
    # What these scenarios were made with: no trade of theirs is cut by the cap on its loss.
    content["dynamic_position_sizing"]["max_risk_per_trade_pct"] = 4.0
    content["risk_model"] = {"enabled": False}
    content |= {"max_total_drawdown_pct": 90.0, "max_weekly_drawdown_pct": 60.0, "max_daily_loss": 30.0}
    for name, value in sections.items():
        content[name] = {**content.get(name, {}), **value} if isinstance(value, dict) else value
    return Settings.model_validate(content)


def scattered_ml_settings() -> MlSettings:
    """Return model settings whose thresholds let some of the scattered model's opinions through."""
    return MlSettings.model_validate(
        {"features": get_feature_names(), "prediction": {"confidence_threshold": 0.6, "min_probability_diff": 0.1}}
    )


def planted_bars(count: int) -> pd.DataFrame:
    """Return the first `count` bars after a full warm-up of one planted market."""
    return synthetic_bars("planted", WARM_UP + MARKET_BARS, seed=11).iloc[: WARM_UP + count]


@dataclass(frozen=True)
class Scenario:
    """Bars with a row at which the account begins, and the terms it trades on."""

    bars: pd.DataFrame
    first: int = WARM_UP
    settings: Settings = field(default_factory=settings_with)
    ml_settings: MlSettings = field(default_factory=scattered_ml_settings)
    model: ScatteredModel = field(default_factory=ScatteredModel)
    position_model: PositionModel | None = None
    sltp_model: SltpModel | None = None
    risk_model: RiskModel | None = None
    m1: pd.DataFrame | None = None
    news: NewsCalendar | None = None
    fixed_spread: bool = False
    repeatable: bool = True

    @property
    def market(self) -> PaperMarket:
        """The scenario's market as the bot gets it."""
        return PaperMarket("scenario", self.bars, self.first, self.m1, self.fixed_spread, self.repeatable)

    @property
    def models(self) -> Models:
        """The models both sides trade with."""
        return Models(self.model, self.position_model, self.sltp_model, self.risk_model)

    def until(self, row: int) -> Scenario:
        """Return the scenario as it was known when the bar before `row` had closed."""
        return replace(self, bars=self.bars.iloc[:row].reset_index(drop=True))


@dataclass(frozen=True)
class Outcome:
    """What a run leaves behind, as bytes."""

    trades: bytes
    blocked: bytes
    guard: bytes

    @property
    def trade_rows(self) -> list[list[str]]:
        """Cells of the trades file without its header."""
        return [line.split(",") for line in self.trades.decode().splitlines()[1:]]

    @property
    def block_rows(self) -> list[list[str]]:
        """Cells of the blocked-signals file without its header."""
        return [line.split(",") for line in self.blocked.decode().splitlines()[1:]]

    @property
    def reasons(self) -> set[str]:
        """Block reasons that occur."""
        return {row[5] for row in self.block_rows}


def backtest_outcome(scenario: Scenario, folder: Path) -> Outcome:
    """Run the backtest and read the files it writes."""
    settings = scenario.settings
    prepared = prepare(
        scenario.bars,
        settings,
        scenario.ml_settings,
        scenario.model,
        start=scenario.bars["time"].iloc[scenario.first],
        news=scenario.news,
        m1=scenario.m1,
        fixed_spread=scenario.fixed_spread,
        sltp=scenario.sltp_model,
    )
    answers = model_answers(scenario.models, prepared, settings, scenario.ml_settings)
    result = simulate(prepared, settings, scenario.ml_settings, answers=answers)
    trades, blocked = folder / "backtest-trades.csv", folder / "backtest-blocked.csv"
    write_tables(result, settings.symbol, settings.broker.digits, trades, blocked, settings.money_digits)
    return Outcome(trades.read_bytes(), blocked.read_bytes(), to_bytes(result.guard))


def open_scenario(
    scenario: Scenario,
    journal: Path,
    frozen: Callable[[], bool] = lambda: False,
    durable: bool = False,
    database: URL | None = None,
    reach: Reach = lambda terminal: terminal,
) -> PaperSession:
    """Open or resume the bot of a scenario."""
    return open_session(
        scenario.market,
        scenario.settings,
        scenario.ml_settings,
        scenario.models,
        journal,
        SilentNotifier(),
        news=scenario.news,
        frozen=frozen,
        durable=durable,
        database=database,
        reach=reach,
    )


def finish(session: PaperSession) -> None:
    """Run a session to the end of its market."""
    run_replay(session.bot.cycle, session.server, lambda bar: None)


def go_on(session: PaperSession, bars: int) -> None:
    """Let the market and the bot go on for some bars."""
    for _ in range(bars):
        session.server.advance()
        session.bot.cycle()


def go_on_until(session: PaperSession, condition: Callable[[], bool]) -> None:
    """Let the market and the bot go on until a condition holds."""
    while not condition():
        assert not session.server.at_end, "it never happened"
        go_on(session, 1)


def live(scenario: Scenario, settings: Settings | None = None) -> Scenario:
    """Return a scenario whose account outlives changes of the settings, as in real time."""
    return replace(scenario, repeatable=False, settings=settings or scenario.settings)


def session_outcome(session: PaperSession, scenario: Scenario, folder: Path) -> Outcome:
    """Read the files a session writes."""
    trades, blocked = folder / "bot-trades.csv", folder / "bot-blocked.csv"
    export_trades(session.journal, trades, scenario.settings.broker.digits, scenario.settings.money_digits)
    export_blocks(session.journal, blocked, scenario.settings.symbol, scenario.settings.broker.digits)
    return Outcome(trades.read_bytes(), blocked.read_bytes(), to_bytes(session.bot.status.guard))


def replay_outcome(scenario: Scenario, folder: Path) -> Outcome:
    """Run the whole scenario through the bot."""
    session = open_scenario(scenario, folder / "journal.sqlite")
    finish(session)
    outcome = session_outcome(session, scenario, folder)
    session.close()
    return outcome
