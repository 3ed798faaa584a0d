"""What a person reads of every bar, and where the bot says it stands."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest

from engine.gates import GATE_NAMES
from engine.outputs.gate_numbers import Refusal, refusal_text
from engine.records import Candidate, Guard, Params, new_record, to_text
from novosky.clock import RealClock
from novosky.market.instrument import BOT_MAGIC as MAGIC
from novosky.market.timeframe import USUAL
from tests.helpers.paper_runs import settings_with
from trading.brokers.port import Position
from trading.journal import BotStatus, Journal
from trading.reports.bar_line import WIDTH, BarView, bar_line, decision_text
from trading.reports.narrator import Narrator
from trading.reports.standing import Standing, change_lines, start_lines, stop_lines

CLOSE = 1_715_076_900
"""2024-05-07 10:15 UTC."""


def long(profit: float = 3.451) -> Position:
    return Position(7, 1, 0.12, CLOSE - 3600, 63_500.0, 63_000.0, 64_500.0, -0.01, profit, 15.0, MAGIC, "e1")


def view(**changes: Any) -> BarView:
    values: dict[str, Any] = {
        "bar": CLOSE,
        "earlier": CLOSE - 900,
        "price": 63_512.34,
        "digits": 2,
        "position": None,
        "decision": "no signal",
        "equity": 1_000.0,
        "frame": USUAL,
    }
    return BarView(**values | changes)


@pytest.mark.parametrize(
    ("shown", "line"),
    [
        (view(), "10:15 63512.34 flat, equity 1000.00, no signal; next 10:30"),
        (
            view(position=long(), decision="hold", equity=1003.44),
            "10:15 63512.34 long 0.12 +3.44, equity 1003.44, hold; next 10:30",
        ),
        (view(position=long(-0.004)), "10:15 63512.34 long 0.12 -0.01, equity 1000.00, no signal; next 10:30"),
        (view(price=1.08345, digits=5), "10:15 1.08345 flat, equity 1000.00, no signal; next 10:30"),
        # The first line of a day, and the first of all, carry the date.
        (
            view(bar=CLOSE - 36_900, earlier=CLOSE - 37_800),
            "05-07 00:00 63512.34 flat, equity 1000.00, no signal; next 00:15",
        ),
        (view(earlier=0), "05-07 10:15 63512.34 flat, equity 1000.00, no signal; next 10:30"),
        (view(bar=CLOSE - 37_800), "05-06 23:45 63512.34 flat, equity 1000.00, no signal; next 00:00"),
    ],
)
def test_a_bar_is_one_line_of_time_price_position_equity_decision_and_next_close(shown: BarView, line: str) -> None:
    assert bar_line(shown) == line
    assert len(line) <= WIDTH


def refused(**changes: float) -> Refusal:
    candidate, guard, params = new_record(Candidate), new_record(Guard), new_record(Params)
    for record, values in (
        (candidate, {"votes": 1, "confidence": 0.5812, "gap": 0.041, "atr": 12.344, "ema_distance": -0.42}),
        (candidate, {"adx": 14.25, "news_minutes": 12.0}),
        (guard, {"equity": 940.0, "day_equity": 1000.0, "week_peak": 1100.0, "day_losses": 3}),
        (params, {"min_votes": 2, "min_gap": 0.1, "min_atr": 15.0, "max_spread_atr": 0.5, "news_minutes": 30.0}),
        (params, {"min_adx": 20.0, "max_consecutive_losses": 3, "max_daily_loss": 0.05, "volume_min": 0.01}),
        (params, {"max_weekly_drawdown": 0.1, "starting_balance": 1000.0, "max_total_drawdown": 0.3}),
    ):
        for name, value in values.items():
            setattr(record, name, value)
    params.confidence[:] = 0.62
    for name, value in changes.items():
        setattr(candidate, name, value)
    return Refusal(candidate, guard, params, 16.95)


WORDS = {
    "market_closed": "market closed",
    "model_agreement": "models agreed 1 < 2",
    "session_conf": "confidence 0.58 < 0.62",
    "probability_gap": "lead 0.04 < 0.10",
    "atr_floor": "ATR 12.34 < 15.00",
    "spread": "spread 16.95 > 6.17",
    "news_block": "news in 12 min < 30",
    "ema_trend": "0.4 ATR below EMA200",
    "adx_regime": "ADX 14.2 < 20.0",
    "circuit_breaker": "losses 3, limit 3",
    "daily_loss": "day -60.00 < -50.00",
    "equity_curve": "equity curve pause",
    "weekly_drawdown": "week -160.00 < -110.00",
    "hard_halt": "hard halt, limit 700.00",
    "frozen": "frozen or paused",
    "stops_level": "stop too near",
    "volume": "too large at 0.01 lots",
    "margin": "too little margin",
}


@pytest.mark.parametrize("name", GATE_NAMES)
def test_a_refusal_names_the_first_failing_gate_with_number_and_limit(name: str) -> None:
    assert refusal_text([name], refused()) == WORDS[name]
    line = bar_line(view(decision=f"no sell: {WORDS[name]}"))
    assert len(line) <= WIDTH
    assert len(bar_line(view(earlier=0, equity=1_000.0, decision=f"no sell: {WORDS[name]} (+2)"))) <= WIDTH


def test_further_failing_gates_are_counted_and_close_numbers_stay_apart() -> None:
    assert refusal_text(GATE_NAMES[2:6], refused()) == "confidence 0.58 < 0.62 (+3)"
    assert refusal_text(["session_conf"], refused(confidence=0.6199)) == "confidence 0.6199 < 0.6200"
    assert refusal_text(["session_conf"], refused(confidence=float("nan"))).startswith("confidence nan")


def row(action: str, **values: Any) -> dict[str, Any]:
    return {"action": action, "side": None, "gates": None, "candidate": None, "spread": 16.95} | values


@pytest.mark.parametrize(
    ("decision", "intents", "words"),
    [
        (row("none"), [], "no signal"),
        (row("hold"), [], "hold"),
        (row("add", side=1), [], "hold"),
        (row("exit:model", side=1), [{"state": "filled"}], "closed, position model"),
        (row("exit:manual"), [{"state": "new"}], "closing, manual"),
        (row("exit:halt"), [{"state": "rejected"}], "refused to close, hard halt"),
        (row("entry", side=1), [{"state": "filled"}], "buy filled"),
        (row("entry", side=-1), [{"state": "new"}], "sell sent, not filled yet"),
        (
            row("blocked", side=1, gates="session_conf", candidate=to_text(refused().candidate)),
            [],
            "no buy: confidence 0.58 < 0.62",
        ),
    ],
)
def test_a_decision_is_told_in_words(decision: dict[str, Any], intents: list[dict[str, str]], words: str) -> None:
    assert decision_text(decision, intents, refused().guard, refused().params) == words


def joined(lines: list[str]) -> str:
    return " ".join(line.strip() for line in lines)


def standing(position: Position | None = None, bars: int = 2, **latched: int) -> Standing:
    guard = new_record(Guard)
    guard.equity = 1_000.0
    for name, value in latched.items():
        setattr(guard, name, value)
    status = BotStatus("paper", CLOSE if bars else 0, bars, 0, 0, 1_000.0, guard, "", finished=False)
    return Standing("BTCUSD", USUAL, 2, status, position, CLOSE + 20.0)


def test_the_start_says_where_the_bot_stands_and_what_it_may_do() -> None:
    assert start_lines(standing(), ["models: signal"], []) == [
        "resumed: BTCUSD M15, flat, equity 1000.00 USD, 2 bars processed, next close",
        "  2024-05-07 10:30 UTC",
        "models: signal",
        "entries: allowed; the freeze flag is not set",
    ]
    assert start_lines(standing(bars=0), [], [])[0].startswith("ready: BTCUSD M15, flat, equity 1000.00 USD, 0 bars")
    frozen = joined(start_lines(standing(long()), [], ["the freeze flag is set"]))
    assert "position: long 0.12 lots from 63500.00, stop 63000.00, target 64500.00" in frozen
    assert "no new entries: the freeze flag is set" in frozen
    assert "to go on delete" in frozen
    halted = joined(start_lines(standing(halted=1), [], []))
    assert "LIMIT REACHED: HARD HALT" in halted
    assert "entries: none while a limit stands" in halted


def test_freeze_pause_and_stop_say_where_the_bot_stands_and_how_to_go_on() -> None:
    frozen = " ".join(
        line.strip() for line in change_lines(standing(long()), ["the freeze flag is set", "paused by Telegram"])
    )
    assert "no new entries: the freeze flag is set, paused by Telegram" in frozen
    assert "trading_frozen.flag and send /resume" in frozen
    assert "long 0.12 +3.44" in frozen
    thawed = change_lines(standing(), [])
    assert thawed == ["entries are allowed again; BTCUSD M15, flat, equity 1000.00 USD, 2 bars", "  processed"]
    stopped = joined(stop_lines(standing(long()), "python trading.py --paper"))
    assert "nobody manages it until the next start" in stopped
    assert stopped.endswith("the next start goes on from here: python trading.py --paper")
    for line in [*change_lines(standing(long()), ["paused by Telegram"]), *stop_lines(standing(long()), "x")]:
        assert len(line) <= WIDTH


class Lines:
    """A journal of one bar, and what was said of it."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.stops: tuple[str, ...] = ()

    def decision(self, bar: int) -> dict[str, Any]:
        return row("none", price=63_512.34, equity=1_000.0)

    def intents_of(self, bar: int) -> list[Any]:
        return []


def test_a_bar_is_told_once_and_a_freeze_within_one_look(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = Lines()
    narrator = Narrator(
        cast(Journal, lines),
        settings_with(),
        refused().params,
        RealClock(),
        positions=tuple,
        stops=lambda: lines.stops,
        say=lines.said.append,
    )
    status = standing().status
    narrator.started(status, [])
    lines.said.clear()
    narrator.followed(status)
    narrator.looked(status)
    assert lines.said == [], "nothing has happened"
    later = replace(status, last_bar=status.last_bar + 900)
    narrator.followed(later)
    narrator.followed(later)
    assert lines.said == ["10:30 63512.34 flat, equity 1000.00, no signal; next 10:45"]
    lines.said.clear()
    lines.stops = ("the freeze flag is set",)
    narrator.looked(later)
    narrator.looked(later)
    assert lines.said[0].startswith("no new entries: the freeze flag is set")
    lines.said.clear()
    lines.stops = ()
    narrator.looked(later)
    assert lines.said[0].startswith("entries are allowed again; BTCUSD M15, flat, equity 1000.00 USD")
    lines.said.clear()
    monkeypatch.setattr("novosky.installation.is_checkout", lambda: False)
    narrator.ended(later, "python trading.py --paper")
    assert lines.said[-1] == "the next start goes on from here: novosky trade --paper", "a wheel has no scripts"
