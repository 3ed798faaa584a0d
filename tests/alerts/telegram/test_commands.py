"""Commands: who is answered, what is said, what is done at once and what only after a code."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from alerts.telegram.commands import HELP, Commander, read_order
from alerts.telegram.confirmation import Confirmations
from alerts.telegram.updates import Incoming
from alerts.views import AccountView, HealthItem, PerformanceView, PositionView, ProfileView, StatusView, TradeView
from alerts.words import money, plain_text
from novosky.database.place import sqlite_url
from novosky.errors import BrokerError
from novosky.supervision.freeze import FREEZE_FLAG, is_frozen
from tests.hosts.telegram_host import OWNER, PARTNER, STRANGER, FakeClock
from trading.cycle.switches import Switches
from trading.journal import Journal

NOW = 1_715_076_000
"""2024-05-07 10:00 UTC."""
LONG = PositionView(7, "BTCUSD", 1, 0.05, NOW - 3600, 63_000.0, 63_120.5, 62_500.0, 63_900.0, 6.02)
TRADE = TradeView("BTCUSD", -1, 0.01, NOW - 7200, 63_500.0, NOW - 3600, 63_400.0, "tp", 0.97, 500.97)


@dataclass
class Bot:
    """What a bot shows of itself, and the orders it was given."""

    open: list[PositionView] = field(default_factory=lambda: [LONG])
    closed: list[TradeView] = field(default_factory=lambda: [TRADE] * 30)
    orders: list[str] = field(default_factory=list)
    broken: BrokerError | None = None

    def status(self) -> StatusView:
        return StatusView("running", (), "paper", "BTCUSD", "demo 4711", NOW - 90_000, NOW - 120, 100, 3)

    def account(self) -> AccountView:
        if self.broken is not None:
            raise self.broken
        return AccountView(1234.5, 1240.52, None, 1200.0)

    def positions(self) -> Sequence[PositionView]:
        return self.open

    def trades(self, limit: int) -> Sequence[TradeView]:
        return self.closed[:limit]

    def performance(self) -> PerformanceView:
        return PerformanceView(NOW - 86_400 * 9, 8, 5, 12.34, None, None, 0.0321, 2)

    def profile(self) -> ProfileView:
        return ProfileView("balanced", 1.5, 0.62, 1.0, 1.2, 6.0, 12.0, 30.0, 500.0)

    def health(self) -> Sequence[HealthItem]:
        return [HealthItem("Broker", True, "answers in 12 ms"), HealthItem("News calendar", False, "stale <2 days>")]

    def pause(self) -> str:
        return self.obey("pause")

    def resume(self) -> str:
        return self.obey("resume")

    def freeze(self) -> str:
        return self.obey("freeze")

    def close_all(self) -> str:
        return self.obey("close")

    def halt(self) -> str:
        return self.obey("halt")

    def obey(self, order: str) -> str:
        if self.broken is not None:
            raise self.broken
        self.orders.append(order)
        return f"{order} done & noted"


class Desk:
    """A commander and its bot; codes count from 1001."""

    def __init__(self) -> None:
        self.bot = Bot()
        codes = itertools.count(1001)
        self.commander = Commander(self.bot, self.bot, (OWNER, PARTNER), Confirmations(lambda: str(next(codes))))

    def say(self, text: str, chat: int = OWNER, now: float = NOW, interrupted: bool = False) -> str:
        incoming = Incoming(1, chat, text)
        assert self.commander.knows(incoming, now)
        answer = self.commander.answer(incoming, "novosky_bot", now, interrupted=interrupted)
        return "" if answer is None else answer


@pytest.fixture
def bot_desk() -> Desk:
    return Desk()


# Reading.


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("/status", ("status", ())),
        ("  /STATUS  ", ("status", ())),
        ("/trades 10", ("trades", ("10",))),
        ("/trades@novosky_bot 10", ("trades", ("10",))),
        ("/trades@NOVOSKY_bot", ("trades", ())),
        ("/start", ("help", ())),
        ("/status@another_bot", None),
        ("hello", None),
        ("", None),
        ("/", ("", ())),
    ],
)
def test_a_command_is_read(text: str, read: tuple[str, tuple[str, ...]] | None) -> None:
    order = read_order(text, "novosky_bot")
    assert (None if order is None else (order.command, order.words)) == read


# Who is answered.


def test_a_stranger_gets_nothing_and_is_logged(bot_desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    for minute in range(120):
        assert not bot_desk.commander.knows(Incoming(minute, STRANGER, "/halt"), NOW + minute * 60)
    assert len(caplog.records) == 2, "once an hour, or a stranger could fill the disk"
    assert str(STRANGER) in caplog.text
    assert "/halt" not in caplog.text
    assert bot_desk.bot.orders == []


def test_an_update_that_is_no_message_is_nothing(bot_desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    assert not bot_desk.commander.knows(Incoming(5), NOW)
    assert caplog.records == []
    assert bot_desk.say("good morning") == ""


def test_an_unknown_command_is_not_repeated_as_marks(bot_desk: Desk) -> None:
    assert "&lt;b&gt;" in bot_desk.say("/<b>")
    assert bot_desk.bot.orders == []


# What is said.


def test_help_lists_every_command(bot_desk: Desk) -> None:
    said = bot_desk.say("/help")
    wanted = ["help", "status", "balance", "positions", "trades", "performance", "profile", "health"]
    wanted += ["pause", "resume", "freeze", "close", "halt"]
    assert [line.split(":")[0] for line in said.splitlines()[1:]] == [f"/{name}" for name in wanted]
    assert list(HELP) == wanted


ANSWERS = {
    "/status": [
        "BTCUSD: running",
        "Account: demo 4711 (paper)",
        "Running for: 1 day 1 h",
        "Newest bar: 2024-05-07 09:58 UTC, 2 min ago",
        "Bars: 100 processed, 3 missed",
        "New entries: allowed",
    ],
    "/balance": [
        "Account",
        "Balance: 1,234.50 USD",
        "Equity: 1,240.52 USD",
        "Margin used: unknown",
        "Margin free: 1,200.00 USD",
    ],
    "/positions": [
        "Open positions: 1",
        "BTCUSD long 0.05 lots since 2024-05-07 09:00 UTC: +6.02 USD",
        "  entry 63,000.00, now 63,120.50, stop 62,500.00, target 63,900.00",
    ],
    "/trades 1": [
        "The last 1 closed trade",
        "2024-05-07 09:00 UTC: BTCUSD short 0.01 lots, 63,500.00 to 63,400.00 (tp), +0.97 USD",
    ],
    "/performance": [
        "Performance since 2024-04-28 10:00 UTC",
        "Net result: +12.34 USD",
        "Win rate: 62.5% (5 of 8)",
        "Profit factor: too few trades to say",
        "Expectancy: too few trades to say",
        "Largest drawdown: 3.2%",
        "Longest losing run: 2 trades",
        "Score: too few trades to say",
    ],
    "/profile": [
        "Profile balanced",
        "Risk per trade: 1.5 % of equity",
        "Least confidence: 0.62",
        "Stop and target: 1 and 1.2 ATR",
        "Daily loss limit: 6 %",
        "Weekly pause: 12 % below the week's highest equity",
        "Hard halt: 30 % below 500.00 USD",
    ],
    "/health": ["1 thing to look at", "✗ News calendar: stale <2 days>", "✓ Broker: answers in 12 ms"],
}


@pytest.mark.parametrize("command", ANSWERS)
def test_answers_are_plain_and_carry_units(bot_desk: Desk, command: str) -> None:
    said = bot_desk.say(command)
    assert plain_text(said).splitlines() == ANSWERS[command]
    assert "stale <2" not in said, "angle brackets are escaped"


def test_nothing_to_show_is_said_in_words(bot_desk: Desk) -> None:
    bot_desk.bot.open, bot_desk.bot.closed = [], []
    assert bot_desk.say("/positions") == "No open position."
    assert bot_desk.say("/trades") == "No closed trade yet."
    assert money(-0.001) == "0.00 USD"
    assert money(None) == "unknown"


@pytest.mark.parametrize(("words", "count"), [("", 5), ("20", 20), ("1", 1)])
def test_the_number_of_trades_can_be_chosen(bot_desk: Desk, words: str, count: int) -> None:
    assert len(bot_desk.say(f"/trades {words}").splitlines()) == 1 + count


@pytest.mark.parametrize("words", ["0", "21", "-3", "many", "9" * 400])
def test_a_senseless_number_is_asked_again(bot_desk: Desk, words: str) -> None:
    assert bot_desk.say(f"/trades {words}").startswith("How many?")


def test_a_failure_is_answered_not_raised(bot_desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    bot_desk.bot.broken = BrokerError("terminal is <offline>")
    assert bot_desk.say("/balance") == "/balance could not be carried out: terminal is &lt;offline&gt;"
    assert bot_desk.say("/freeze").startswith("/freeze could not be carried out")
    assert "offline" in caplog.text


# What is done.


@pytest.mark.parametrize("command", ["pause", "freeze"])
def test_what_only_makes_it_safer_is_done_at_once(bot_desk: Desk, command: str) -> None:
    assert bot_desk.say(f"/{command}") == f"{command} done &amp; noted"
    assert bot_desk.bot.orders == [command]


def ask_code(bot_desk: Desk, command: str, chat: int = OWNER, now: float = NOW) -> str:
    said = bot_desk.say(f"/{command}", chat, now)
    return said.partition(f"<code>/{command} ")[2].partition("</code>")[0]


@pytest.mark.parametrize("command", ["close", "halt", "resume"])
def test_what_is_dangerous_is_done_after_its_code_and_once(bot_desk: Desk, command: str) -> None:
    code = ask_code(bot_desk, command)
    assert bot_desk.bot.orders == []
    assert bot_desk.say(f"/{command} {code}", now=NOW + 60) == f"{command} done &amp; noted"
    assert bot_desk.say(f"/{command} {code}", now=NOW + 60).startswith("No such confirmation")
    assert bot_desk.bot.orders == [command]


def test_closing_shows_what_would_be_closed(bot_desk: Desk) -> None:
    assert "BTCUSD long 0.05 lots" in bot_desk.say("/close")


def test_a_code_expires(bot_desk: Desk) -> None:
    code = ask_code(bot_desk, "close")
    assert "expired" in bot_desk.say(f"/close {code}", now=NOW + 60.5)
    assert bot_desk.say(f"/close {code}", now=NOW).startswith("No such confirmation")
    assert bot_desk.bot.orders == []


def test_a_code_is_for_one_chat_and_one_command(bot_desk: Desk) -> None:
    code = ask_code(bot_desk, "close")
    assert bot_desk.say(f"/close {code}", PARTNER).startswith("No such confirmation")
    assert bot_desk.say(f"/halt {code}").startswith("No such confirmation")
    assert bot_desk.bot.orders == []
    bot_desk.say(f"/close {code}")
    assert bot_desk.bot.orders == ["close"]


def test_guessing_ends_after_three_codes(bot_desk: Desk) -> None:
    code = ask_code(bot_desk, "halt")
    assert [bot_desk.say("/halt 1").split(".")[0] for _ in range(2)] == ["That is not the code"] * 2
    assert "third time" in bot_desk.say("/halt 2")
    assert bot_desk.say(f"/halt {code}").startswith("No such confirmation")
    assert bot_desk.bot.orders == []


def test_a_new_code_takes_the_place_of_the_old_one(bot_desk: Desk) -> None:
    old, new = ask_code(bot_desk, "close"), ask_code(bot_desk, "close")
    bot_desk.say(f"/close {old}")
    assert bot_desk.bot.orders == []
    bot_desk.say(f"/close {new}")
    assert bot_desk.bot.orders == ["close"]


def test_a_stop_the_bot_died_over_is_repeated_and_anything_else_is_asked_again(bot_desk: Desk) -> None:
    assert "done" in bot_desk.say("/freeze", interrupted=True)
    code = ask_code(bot_desk, "close")
    for text in (f"/close {code}", "/status", "/resume"):
        assert "may or may not have been carried out" in bot_desk.say(text, interrupted=True)
    assert bot_desk.bot.orders == ["freeze"]


def test_orders_are_logged_without_who_gave_them(bot_desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    bot_desk.say("/pause")
    assert "/pause was ordered" in caplog.text
    assert str(OWNER) not in caplog.text


# The switches behind it.


@pytest.fixture
def switches(tmp_path: Path) -> Switches:
    journal = Journal(sqlite_url(tmp_path / "bot.db"), symbol="BTCUSD", durable=False)
    return Switches(journal, FakeClock(NOW), "Telegram", tmp_path / FREEZE_FLAG)


def again(switches: Switches, tmp_path: Path) -> Switches:
    """The switches of a bot that starts again."""
    journal = Journal(sqlite_url(tmp_path / "bot.db"), symbol="BTCUSD", durable=False)
    return Switches(journal, FakeClock(), "x", tmp_path / FREEZE_FLAG)


def test_pause_and_freeze_stop_entries_across_restarts_until_resumed(switches: Switches, tmp_path: Path) -> None:
    assert not switches.entries_stopped()
    switches.pause()
    assert again(switches, tmp_path).stops() == ("paused by Telegram",)
    switches.freeze()
    assert is_frozen(tmp_path / FREEZE_FLAG)
    assert again(switches, tmp_path).entries_stopped()
    switches.resume()
    assert not is_frozen(tmp_path / FREEZE_FLAG)
    assert not again(switches, tmp_path).entries_stopped()
    switches.resume()


def test_close_and_halt_stay_ordered_until_they_are_done(switches: Switches, tmp_path: Path) -> None:
    for _ in range(2):
        switches.close_all()
    assert switches.thrown.is_set()
    assert again(switches, tmp_path).close_ordered()
    switches.closed()
    assert not again(switches, tmp_path).close_ordered()
    switches.halt()
    assert again(switches, tmp_path).halt_ordered()
    assert switches.entries_stopped(), "nothing is opened while the halt is on its way"
    switches.halted()
    assert not switches.halt_ordered()


def test_a_journal_that_cannot_be_asked_stops_entries(tmp_path: Path) -> None:
    journal = Journal(sqlite_url(tmp_path / "bot.db"), symbol="BTCUSD", durable=False)
    switches = Switches(journal, FakeClock(), "x", tmp_path / FREEZE_FLAG)
    assert not switches.entries_stopped()
    journal.close()
    (tmp_path / "bot.db").write_bytes(b"no database any more")
    assert switches.entries_stopped()
