"""What the bot writes of positions, of its models and of the calendar, for people and for monitoring."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.fills import EXIT_NAMES
from engine.records import Trade, from_text
from novosky.data.calendar.forex_factory import Release
from novosky.database.place import sqlite_url
from novosky.market.news import NewsCalendar
from novosky.settings import MlSettings
from tests.helpers.live_runs import LiveDesk
from tests.helpers.mt5.runs import Mt5Session, open_mt5, trade_server
from tests.helpers.mt5.terminal import Stage
from tests.helpers.paper_runs import Scenario, finish, open_scenario, planted_bars, settings_with
from tests.helpers.sets.signal_models import ScatteredModel, ScatteredPositionModel
from trading.brokers.simulated.functions.terminal import SimulatedTerminal
from trading.brokers.simulated.store import MemoryStore
from trading.cycle.model_figures import mark_of
from trading.cycle.news import FixedNews
from trading.journal import Journal, ModelMetric, NewsEvent, PositionEvent

BAR = 900
DAY = 86_400
MIN_BARS_HELD = 4
"""As ml_config.json has it."""
BARS = 300


def with_position_model(bars: int = BARS) -> Scenario:
    scenario = Scenario(planted_bars(bars), position_model=ScatteredPositionModel())
    content = scenario.ml_settings.model_dump(mode="json", exclude={"schema_reference"})
    content["position_model"] = {"enabled": True, "exit_threshold": 0.8, "min_prob_diff": 0.25}
    return replace(scenario, ml_settings=MlSettings.model_validate(content))


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Journal:
    """The journal of a replay with the position model on."""
    folder = tmp_path_factory.mktemp("notes")
    session = open_scenario(with_position_model(), folder / "journal.sqlite")
    finish(session)
    session.close()
    return Journal(sqlite_url(folder / "journal.sqlite"), symbol="BTCUSD", durable=False, read_only=True)


def of_kind(journal: Journal, kind: str) -> list[PositionEvent]:
    return [event for event in journal.position_events() if event.kind == kind]


def test_every_entry_is_an_event_with_side_volume_and_price(journal: Journal) -> None:
    entries = [row for row in journal.deals() if row["entry"] == 0]
    assert len(entries) > 10
    opened = of_kind(journal, "opened")
    assert [(event.ticket, event.time) for event in opened] == [(row["position"], row["time"]) for row in entries]
    intents = {row["id"]: row for row in journal.intents()}
    for event, row in zip(opened, entries, strict=True):
        side = {1: "buy", -1: "sell"}[intents[row["comment"]]["side"]]
        assert event.detail == f"{side} {row['volume']:g} at {row['price']:.2f}"


def test_every_exit_is_an_event_with_its_reason_and_result(journal: Journal) -> None:
    trades = [from_text(Trade, content) for content in journal.trades()]
    closed = of_kind(journal, "closed")
    assert len(closed) == len(trades) > 10
    for event, trade in zip(closed, trades, strict=True):
        assert event.time == trade.exit_time
        net = trade.profit + trade.commission + trade.swap
        assert f"({EXIT_NAMES[int(trade.reason)]}), result {net:+.2f} USD" in event.detail


def test_an_answer_of_the_position_model_that_was_followed_is_an_event(journal: Journal) -> None:
    followed = [row for row in journal.decisions() if row["action"] == "exit:model"]
    events = of_kind(journal, "exit decided")
    assert [event.time for event in events] == [row["bar"] for row in followed]
    assert events[0].detail == f"model: P(EXIT) {followed[0]['confidence']:.3f}, {followed[0]['gap']:+.3f} against HOLD"


def test_an_advice_to_add_is_an_event_and_nothing_more(journal: Journal) -> None:
    advised = [row["bar"] for row in journal.decisions() if row["action"] == "add"]
    assert len(advised) >= 1
    assert [event.time for event in of_kind(journal, "add advised")] == advised


def test_a_position_closed_in_parts_says_so_until_the_last(tmp_path: Path) -> None:
    session, ticket = with_a_position(tmp_path)
    held = session.server.book.positions[ticket]
    volume = float(held.account.volume)
    for lots in (0.01, round(volume - 0.01, 2)):
        close_by_hand(session, ticket, lots)
        session.go_on(1)
    events = [event for event in session.journal.position_events() if event.ticket == ticket]
    assert [event.kind for event in events] == ["opened", "closed in part", "closed"]
    session.close()


def test_parts_closed_within_one_second_are_one_event_that_names_them_all(tmp_path: Path) -> None:
    session, ticket = with_a_position(tmp_path)
    for _ in range(2):
        close_by_hand(session, ticket, 0.01)
    session.go_on(1)
    (event,) = of_kind(session.journal, "closed in part")
    assert event.detail.count("0.01 at") == 2
    session.close()


def test_stops_that_were_lost_and_set_again_are_an_event(tmp_path: Path) -> None:
    session, ticket = with_a_position(tmp_path)
    session.server.advance()
    held = session.server.book.positions[ticket].account
    held.sl = -float(held.side) * np.inf
    session.bot.cycle()
    (event,) = of_kind(session.journal, "stop repaired")
    assert event.ticket == ticket
    assert event.detail.startswith("stop ")
    session.close()


def test_a_position_of_someone_else_is_an_event_once(tmp_path: Path) -> None:
    scenario = Scenario(planted_bars(60))
    server = trade_server(scenario, MemoryStore())
    server.terms = replace(server.terms, limit_positions=0)
    session = open_mt5(scenario, tmp_path / "journal.sqlite", server)
    session.go_on(1)
    foreign = Stage(server, session.faults, session.mt5).deal().order
    session.go_on(2)
    session.close()
    again = open_mt5(scenario, tmp_path / "journal.sqlite", server)
    again.go_on(1)
    assert [event.ticket for event in of_kind(again.journal, "foreign seen")] == [foreign]
    again.close()


FAR = {"sl_atr_mult": 3.0, "tp_atr_mult": 3.0, "atr_mult_range": {"least": 1.0, "most": 3.0}}


def with_a_position(folder: Path) -> tuple[Mt5Session, int]:
    scenario = Scenario(
        planted_bars(150), settings=settings_with(risk_management=FAR, risk_profile={"starting_balance_usd": 50_000.0})
    )
    session = open_mt5(scenario, folder / "journal.sqlite", trade_server(scenario, MemoryStore()))

    def booked() -> list[int]:
        return [ticket for ticket in session.server.book.positions if session.journal.entry_deals(ticket)]

    session.go_on_until(lambda: bool(booked()))
    (ticket,) = booked()
    return session, ticket


def close_by_hand(session: Mt5Session, ticket: int, lots: float) -> None:
    hand = SimulatedTerminal(session.server)
    hand.initialize()
    kind = 1 if session.server.book.positions[ticket].side > 0 else 0
    answer = hand.order_send(
        {"action": 1, "symbol": "BTCUSD", "type": kind, "type_filling": 1, "position": ticket, "volume": lots}
    )
    assert answer is not None and answer.retcode == 10009


def figures(journal: Journal, figure: str) -> list[ModelMetric]:
    found = journal.model_metrics_between(0, 2**40)
    return [metric for metric in found if metric.name.partition("@")[0] == figure]


def test_the_confidence_of_every_named_side_is_kept_with_the_models_mark(journal: Journal) -> None:
    named = [(row["bar"], row["confidence"]) for row in journal.decisions() if row["candidate"] is not None]
    kept = figures(journal, "signal.confidence")
    assert [(metric.time, metric.value) for metric in kept] == named
    mark = mark_of(with_position_model().models.fingerprint)
    assert {metric.name for metric in kept} == {f"signal.confidence@{mark}"}


def test_the_position_models_word_is_kept_at_every_close_it_was_asked(journal: Journal) -> None:
    rows = journal.decisions()
    asked = [(row["bar"], row["confidence"]) for row in rows if row["confidence"] is not None and not row["candidate"]]
    # Before its least holding time nothing follows from the answer, so the model is not asked.
    entered, due = 0, []
    for row in rows:
        entered = row["bar"] if row["action"] == "entry" else entered
        held = row["action"] in ("hold", "add") or row["action"].startswith("exit")
        if held and row["bar"] - entered >= MIN_BARS_HELD * BAR:
            due.append(row["bar"])
    assert [bar for bar, _ in asked] == due
    assert len(due) > 5
    assert [(metric.time, metric.value) for metric in figures(journal, "position.exit")] == asked


def test_after_each_day_its_confidence_is_summed_up(journal: Journal) -> None:
    by_day: dict[int, list[float]] = defaultdict(list)
    for metric in figures(journal, "signal.confidence"):
        by_day[metric.time // DAY * DAY].append(metric.value)
    last_day = journal.decisions()[-1]["bar"] // DAY * DAY
    by_day.pop(last_day, None)
    assert len(by_day) >= 2
    counts = {metric.time: metric.value for metric in figures(journal, "signal.candidates")}
    means = {metric.time: metric.value for metric in figures(journal, "signal.confidence_mean")}
    spreads = {metric.time: metric.value for metric in figures(journal, "signal.confidence_sd")}
    assert counts == {day: len(values) for day, values in by_day.items()}
    assert means == pytest.approx({day: np.mean(values) for day, values in by_day.items()})
    assert spreads == pytest.approx({day: np.std(values) for day, values in by_day.items()})


def nets(contents: Sequence[bytes]) -> list[float]:
    trades = [from_text(Trade, content) for content in contents]
    return [round(trade.profit + trade.commission + trade.swap, 2) for trade in trades]


def test_the_hit_rate_of_the_models_is_that_of_their_trades(journal: Journal) -> None:
    results = nets(journal.trades())
    won = sum(net > 0 for net in results)
    newest = {name: figures(journal, f"trades.{name}")[-1].value for name in ("closed", "won", "hit_rate", "net")}
    assert newest == pytest.approx(
        {"closed": len(results), "won": won, "hit_rate": won / len(results), "net": sum(results)}
    )


def test_a_trade_counts_for_the_models_that_opened_it(tmp_path: Path) -> None:
    first = Scenario(planted_bars(200))
    second = replace(first, model=ScatteredModel(fingerprint="next week's"))
    server = trade_server(first, MemoryStore())
    session = open_mt5(first, tmp_path / "journal.sqlite", server)
    session.go_on(20)
    session.go_on_until(lambda: bool(server.book.positions))
    session.close()
    before = len(session_trades(tmp_path))
    session = open_mt5(second, tmp_path / "journal.sqlite", server)
    session.finish()
    trades = session_trades(tmp_path)
    counts = {
        scenario.model.fingerprint: session.journal.newest_model_metric(
            f"trades.closed@{mark_of(scenario.models.fingerprint)}"
        )
        for scenario in (first, second)
    }
    session.close()
    assert {name: None if metric is None else metric.value for name, metric in counts.items()} == {
        "scattered": before + 1,
        "next week's": len(trades) - before - 1,
    }


def session_trades(folder: Path) -> list[bytes]:
    journal = Journal(sqlite_url(folder / "journal.sqlite"), symbol="BTCUSD", durable=False, read_only=True)
    try:
        return journal.trades()
    finally:
        journal.close()


def test_a_killed_and_restarted_bot_leaves_the_same_notes(journal: Journal, tmp_path: Path, mortal: object) -> None:
    from tests.helpers.kills import live_through

    mortal(7)  # type: ignore[operator]
    live_through(with_position_model(), tmp_path)
    again = Journal(sqlite_url(tmp_path / "journal.sqlite"), symbol="BTCUSD", durable=False, read_only=True)
    assert again.position_events() == journal.position_events()
    assert again.model_metrics_between(0, 2**40) == journal.model_metrics_between(0, 2**40)
    again.close()


class NamedNews(FixedNews):
    """A calendar that knows what its releases are called."""

    def __init__(self, *releases: Release) -> None:
        super().__init__(NewsCalendar.from_times(np.array([release.time for release in releases])))
        self.known = releases

    def releases(self) -> tuple[Release, ...]:
        return self.known


def test_the_calendars_releases_are_kept_as_the_live_bot_saw_them(tmp_path: Path) -> None:
    scenario = Scenario(planted_bars(30))
    moment = int(scenario.bars["time"].iloc[-10].timestamp())
    news = NamedNews(Release(moment, "USD", "High", "CPI m/m", "", ""))
    desk = LiveDesk(scenario, tmp_path)
    desk.run(3, news=news)
    news.known += (Release(moment + 900, "USD", "High", "FOMC", "", ""),)
    kept = desk.run(3, news=news, look=lambda session: session.journal.news_events(0, 2**40))
    assert list(kept) == [
        NewsEvent(moment, "USD", "CPI m/m", "high"),
        NewsEvent(moment + 900, "USD", "FOMC", "high"),
    ]
