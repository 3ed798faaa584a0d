"""The journal's contract: what the bot relies on, whichever database is behind it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import pytest

from alerts.message import Message
from alerts.views import AccountSnapshot
from engine.gates import GATE_NAMES
from engine.records import Candidate, Guard, Trade, from_text, new_record, to_bytes, to_text
from novosky.errors import LockedError, StorageError
from trading.journal import (
    INTENT_FILLED,
    INTENT_REJECTED,
    BarNotes,
    BotStatus,
    Decision,
    Flag,
    Intent,
    Journal,
    ModelMetric,
    NewsEvent,
    Outbox,
    PositionEvent,
)

BAR = 1_704_284_100
LATER = BAR + 900


class Place(Protocol):
    """A database of its own for one test, empty at first."""

    def open(self, *, read_only: bool = False, symbol: str | None = "BTCUSD") -> Journal:
        """Open the journal; whoever opens it closes it."""

    def open_as_second_bot(self) -> None:
        """Do what a second bot does at its start while the first is at work."""

    def run(self, statement: str) -> list[Mapping[str, Any]]:
        """Run a statement past the journal and return its rows."""


def status_at(bar: int = BAR, **changes: Any) -> BotStatus:
    guard = new_record(Guard)
    guard.time, guard.equity, guard.closed = bar, 512.25, 3
    guard.balances[:3] = (500.0, 505.5, 512.25)
    return replace(BotStatus("me", bar, 1, 0, 7, 512.25, guard, "rf=rf.pkl", finished=False), **changes)


def decision_at(bar: int = BAR, action: str = "none", **changes: Any) -> Decision:
    return replace(Decision(bar, action, 50_000.0, 10.0, 512.25), **changes)


def entry_at(bar: int = BAR) -> Intent:
    return Intent(f"e{bar:x}", bar, "entry", 1, 0.05, 49_900.0, 50_100.0, 0, 0)


def deal(ticket: int, position: int, entry: int, **changes: Any) -> dict[str, Any]:
    row = {
        "ticket": ticket,
        "position": position,
        "time": BAR,
        "entry": entry,
        "reason": 3,
        "volume": 0.05,
        "price": 50_010.0,
        "commission": -0.1,
        "swap": 0.0,
        "profit": 0.0,
        "magic": 1,
        "comment": "e1",
    }
    return {**row, **changes}


def trade_row(deal_ticket: int, exit_time: int, profit: float) -> dict[str, Any]:
    trade = new_record(Trade)
    trade.exit_time, trade.profit = exit_time, profit
    return {"deal": deal_ticket, "position": deal_ticket - 1, "trade": to_text(trade), "exit_time": exit_time}


def message(key: str = "closed:9", **changes: Any) -> Message:
    return replace(Message(key, "trade", "closed buy, result +3.20 USD \u20bf", BAR), **changes)


class BarContract:
    """Bars, intents, deals and trades. A test class inherits it and gives the fixtures `place` and `journal`."""

    def test_a_new_journal_knows_nothing(self, journal: Journal) -> None:
        assert journal.status() is None
        assert journal.open_intents() == []
        assert journal.trades() == []
        assert list(journal.blocks()) == []
        assert journal.intent("e1") is None
        assert list(journal.entry_deals(4)) == []
        assert journal.decision(BAR) is None

    def test_the_status_survives_a_restart_to_the_byte(self, journal: Journal, place: Place) -> None:
        journal.save_status(status_at())
        journal.close()
        again = place.open()
        read = again.status()
        assert read is not None
        assert to_bytes(read.guard) == to_bytes(status_at().guard)
        assert replace(read, guard=None) == replace(status_at(), guard=None)  # type: ignore[arg-type]
        again.close()

    def test_there_is_one_status(self, journal: Journal, place: Place) -> None:
        journal.save_status(status_at())
        journal.record_bar(status_at(LATER, bars_processed=2), decision_at(LATER), [], [], [])
        rows = place.run("SELECT last_bar, bars_processed FROM bot_status")
        assert [tuple(row.values()) for row in rows] == [(LATER, 2)]

    def test_everything_of_a_bar_is_written_together(self, journal: Journal) -> None:
        journal.record_bar(
            status_at(), decision_at(action="entry"), [entry_at()], [deal(3, 2, 0)], [trade_row(9, BAR, 1)], [message()]
        )
        status = journal.status()
        assert status is not None
        assert status.last_bar == BAR
        assert journal.open_intents() == [entry_at()]
        (entry,) = journal.entry_deals(2)
        assert (entry["price"], entry["magic"], entry["comment"]) == (50_010.0, 1, "e1")
        assert len(journal.trades()) == 1
        assert [queued.key for queued in journal.outbox.due(BAR, 10)] == ["closed:9"]

    def test_a_position_may_be_opened_by_several_deals(self, journal: Journal) -> None:
        journal.record_bar(status_at(), decision_at(), [], [deal(5, 2, 0), deal(3, 2, 0), deal(4, 9, 0)], [])
        assert [row["ticket"] for row in journal.entry_deals(2)] == [3, 5]

    def test_a_bar_that_cannot_be_written_whole_leaves_no_trace(self, journal: Journal) -> None:
        journal.record_bar(status_at(), decision_at(), [], [deal(3, 2, 0)], [])
        later = status_at(LATER)
        with pytest.raises(StorageError):
            journal.record_bar(
                later, decision_at(LATER), [entry_at(LATER)], [deal(4, 2, 1), deal(3, 2, 0)], [], [message()]
            )
        status = journal.status()
        assert status is not None
        assert status.last_bar == BAR
        assert journal.open_intents() == []
        assert journal.outbox.message("closed:9") is None
        journal.record_bar(later, decision_at(LATER), [entry_at(LATER)], [deal(4, 2, 1)], [])
        assert journal.open_intents() == [entry_at(LATER)]

    def test_the_same_bar_is_refused_twice(self, journal: Journal) -> None:
        journal.record_bar(status_at(), decision_at(), [], [], [])
        with pytest.raises(StorageError):
            journal.record_bar(status_at(bars_processed=2), decision_at(), [], [], [])
        status = journal.status()
        assert status is not None
        assert status.bars_processed == 1

    def test_a_decision_keeps_what_the_models_and_the_gates_said(self, journal: Journal) -> None:
        said = decision_at(
            action="blocked",
            side=-1,
            votes=2,
            confidence=0.71,
            gap=0.2,
            gates=(1 << 18) - 1,
            atr=120.5,
            candidate='{"adx":"NaN"}',
            multiplier=0.35,
        )
        journal.record_bar(status_at(), said, [], [], [])
        row = journal.decision(BAR)
        assert row == {**said.__dict__, "gates": " ".join(GATE_NAMES)}

    def test_a_size_that_nobody_scaled_has_a_multiplier_of_one(self, journal: Journal) -> None:
        journal.record_bar(status_at(), decision_at(), [], [], [])
        row = journal.decision(BAR)
        assert row is not None
        assert row["multiplier"] == 1.0

    def test_a_filled_intent_is_closed(self, journal: Journal) -> None:
        journal.record_bar(status_at(), decision_at(action="entry"), [entry_at()], [], [])
        journal.close_intent(entry_at(), INTENT_FILLED, "filled", 17, code="10009")
        assert journal.open_intents() == []
        row = journal.intent(entry_at().id)
        assert row is not None
        assert (row["state"], row["outcome"], row["broker_code"], row["order"]) == ("filled", "filled", "10009", 17)
        assert list(journal.blocks()) == []

    def test_a_rejected_entry_turns_its_decision_into_a_block(self, journal: Journal) -> None:
        candidate = to_text(new_record(Candidate))
        journal.record_bar(status_at(), decision_at(action="entry", candidate=candidate, gates=0), [entry_at()], [], [])
        journal.close_intent(entry_at(), INTENT_REJECTED, "market closed", 0, gates=1)
        (block,) = journal.blocks()
        assert (block["bar"], block["gates"]) == (BAR, "market_closed")
        assert (block["candidate"], block["price"]) == (candidate, 50_000.0)

    def test_a_rejected_exit_blocks_nothing(self, journal: Journal) -> None:
        leave = replace(entry_at(), id="x1", kind="exit")
        journal.record_bar(status_at(), decision_at(action="exit:halt"), [leave], [], [])
        journal.close_intent(leave, INTENT_REJECTED, "market closed", 0, gates=1)
        assert list(journal.blocks()) == []
        assert journal.open_intents() == []

    def test_an_outcome_that_is_recorded_again_is_told_once(self, journal: Journal) -> None:
        journal.record_bar(status_at(), decision_at(action="entry"), [entry_at()], [], [])
        for _ in range(2):
            journal.close_intent(entry_at(), INTENT_FILLED, "filled", 17, messages=[message("filled:e1")])
        assert [queued.key for queued in journal.outbox.due(BAR, 10)] == ["filled:e1"]

    def test_trades_come_in_order_of_exit(self, journal: Journal) -> None:
        journal.record_bar(status_at(), decision_at(), [], [], [trade_row(9, LATER, 2.0), trade_row(5, BAR, 1.0)])
        journal.record_bar(status_at(LATER), decision_at(LATER), [], [], [trade_row(12, LATER, 3.0)])
        assert [float(from_text(Trade, content).profit) for content in journal.trades()] == [1.0, 2.0, 3.0]

    def test_blocks_come_in_order_of_time(self, journal: Journal) -> None:
        for bar in (LATER, BAR):
            journal.record_bar(status_at(bar), decision_at(bar, action="blocked", gates=4), [], [], [])
        assert [row["bar"] for row in journal.blocks()] == [BAR, LATER]

    def test_partial_exits_of_one_position_are_separate_trades(self, journal: Journal) -> None:
        parts = [{**trade_row(ticket, BAR, 1.0), "position": 4} for ticket in (6, 8)]
        journal.record_bar(status_at(), decision_at(), [], [], parts)
        assert len(journal.trades()) == 2


class OutboxContract:
    """Messages. A test class inherits it and gives the fixture `journal`."""

    def test_a_message_is_due_from_its_creation_on(self, journal: Journal) -> None:
        journal.outbox.enqueue(message(created=BAR, attachment="logs/report.html"))
        assert journal.outbox.due(BAR - 1, 10) == []
        (queued,) = journal.outbox.due(BAR, 10)
        assert (queued.key, queued.kind, queued.text) == ("closed:9", "trade", message().text)
        assert (queued.created, queued.attempts, queued.attachment) == (BAR, 0, "logs/report.html")
        assert (queued.sent_at, queued.error) == (None, None)

    def test_a_key_is_told_once_however_often_it_is_queued(self, journal: Journal) -> None:
        journal.outbox.enqueue(message(text="first"), message(text="second"))
        journal.outbox.enqueue(message(text="third"))
        (queued,) = journal.outbox.due(LATER, 10)
        assert queued.text == "first"
        journal.outbox.mark_sent(queued.id, LATER)
        journal.outbox.enqueue(message(text="fourth"))
        assert journal.outbox.due(LATER, 10) == []

    def test_messages_are_due_in_the_order_of_queueing(self, journal: Journal) -> None:
        for number in range(5):
            journal.outbox.enqueue(message(f"k{number}", created=LATER - number))
        assert [queued.key for queued in journal.outbox.due(LATER, 3)] == ["k0", "k1", "k2"]

    def test_a_sent_message_is_never_due_again(self, journal: Journal) -> None:
        journal.outbox.enqueue(message())
        (queued,) = journal.outbox.due(BAR, 10)
        journal.outbox.mark_sent(queued.id, BAR + 2)
        assert journal.outbox.due(LATER * 2, 10) == []
        journal.outbox.mark_failed(queued.id, BAR + 3, LATER, "too late")
        journal.outbox.mark_sent(queued.id, BAR + 9)
        after = journal.outbox.message("closed:9")
        assert after is not None
        assert (after.sent_at, after.attempts, after.error) == (BAR + 2, 0, None)

    def test_a_failed_message_waits_for_its_next_try(self, journal: Journal) -> None:
        journal.outbox.enqueue(message())
        (queued,) = journal.outbox.due(BAR, 10)
        journal.outbox.mark_failed(queued.id, BAR, BAR + 60, "no route")
        assert journal.outbox.due(BAR + 59, 10) == []
        (again,) = journal.outbox.due(BAR + 60, 10)
        assert (again.attempts, again.error) == (1, "no route")

    def test_a_failure_that_is_marked_twice_counts_once(self, journal: Journal) -> None:
        journal.outbox.enqueue(message())
        (queued,) = journal.outbox.due(BAR, 10)
        for _ in range(2):
            journal.outbox.mark_failed(queued.id, BAR, BAR + 60, "no route")
        assert journal.outbox.due(BAR + 60, 10)[0].attempts == 1

    def test_a_message_can_be_given_up(self, journal: Journal) -> None:
        journal.outbox.enqueue(message())
        (queued,) = journal.outbox.due(BAR, 10)
        journal.outbox.mark_failed(queued.id, BAR, None, "chat not found")
        assert journal.outbox.due(LATER * 2, 10) == []
        after = journal.outbox.message("closed:9")
        assert after is not None
        assert (after.sent_at, after.attempts, after.error) == (None, 1, "chat not found")

    def test_one_thread_records_bars_while_another_sends_their_messages(self, journal: Journal) -> None:
        bars = 60
        sent: list[str] = []

        def send() -> None:
            while len(sent) < bars:
                for queued in journal.outbox.due(LATER * 2, 5):
                    journal.outbox.mark_sent(queued.id, LATER)
                    sent.append(queued.key)

        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        for number in range(bars):
            bar = BAR + 900 * number
            journal.record_bar(status_at(bar), decision_at(bar), [], [], [], [message(f"bar:{number}", created=bar)])
        sender.join(timeout=30)
        assert sent == [f"bar:{number}" for number in range(bars)]

    def test_a_message_is_queued_once_for_every_channel_each_with_its_own_story(self, journal: Journal) -> None:
        both = Outbox(journal._database, ("telegram", "webhook"))
        both.enqueue(message(), message("alarm:1", text="halt"))
        both.enqueue(message(text="again"))
        assert [(each.key, each.channel) for each in both.due(LATER, 9)] == [
            (key, channel) for key in ("closed:9", "alarm:1") for channel in ("telegram", "webhook")
        ]
        telegram, webhook = both.queue("telegram"), both.queue("webhook")
        first = telegram.due(LATER, 1)[0]
        telegram.mark_failed(first.id, LATER, LATER + 3600, "no route")
        assert [each.key for each in telegram.due(LATER, 9)] == ["alarm:1"]
        assert [each.key for each in webhook.due(LATER, 9)] == ["closed:9", "alarm:1"], "held back by nobody else"
        webhook.mark_sent(webhook.due(LATER, 1)[0].id, LATER)
        waiting, sent = telegram.message("closed:9"), webhook.message("closed:9")
        assert waiting is not None and sent is not None
        assert (waiting.attempts, waiting.sent_at, sent.attempts, sent.sent_at) == (1, None, 0, LATER)

    def test_what_one_channel_queues_for_itself_concerns_no_other(self, journal: Journal) -> None:
        both = Outbox(journal._database, ("telegram", "webhook"))
        both.queue("telegram").enqueue(message("reply:5"))
        assert both.queue("webhook").message("reply:5") is None
        assert [each.channel for each in both.due(LATER, 9)] == ["telegram"]

    def test_where_nobody_is_told_nothing_is_queued(self, journal: Journal) -> None:
        silent = Outbox(journal._database)
        silent.enqueue(message())
        assert silent.due(LATER, 9) == [] and journal.outbox.due(LATER, 9) == []

    def test_a_channel_that_was_left_out_keeps_what_waits_and_holds_up_nobody(self, journal: Journal) -> None:
        Outbox(journal._database, ("telegram", "webhook")).enqueue(message())
        without = Outbox(journal._database, ("telegram",))
        without.mark_sent(without.due(LATER, 9)[0].id, LATER)
        assert without.due(LATER, 9) == []
        assert [each.key for each in without.queue("webhook").due(LATER, 9)] == ["closed:9"], "never dropped"

    def test_a_next_try_lies_in_the_future(self, journal: Journal) -> None:
        with pytest.raises(ValueError, match="after"):
            journal.outbox.mark_failed(1, BAR, BAR, "again at once")


class HistoryContract:
    """Events, snapshots, news, metrics, flags. A test class inherits it and gives the fixture `journal`."""

    def test_position_events_are_kept_once_each(self, journal: Journal) -> None:
        journal.record_position_event(7, LATER, "closed", "target")
        journal.record_position_event(7, BAR, "opened", "buy 0.05")
        journal.record_position_event(7, BAR, "opened", "told again after a restart")
        assert journal.position_events() == [
            PositionEvent(7, BAR, "opened", "buy 0.05"),
            PositionEvent(7, LATER, "closed", "target"),
        ]
        assert [event.kind for event in journal.position_events(LATER)] == ["closed"]

    def test_a_bars_notes_are_written_with_it_or_not_at_all(self, journal: Journal) -> None:
        event, metric = PositionEvent(7, BAR, "opened", "buy 0.05"), ModelMetric(BAR, "signal.confidence@a", 0.7)
        journal.record_bar(status_at(), decision_at(), [], [], [], notes=BarNotes([event], [metric]))
        with pytest.raises(StorageError):
            notes = BarNotes([replace(event, ticket=8)], [replace(metric, value=0.9)])
            journal.record_bar(status_at(), decision_at(), [], [], [], notes=notes)
        assert journal.position_events() == [event]
        assert journal.model_metrics(metric.name) == [metric]

    def test_figures_are_found_by_their_moment_and_the_newest_by_its_name(self, journal: Journal) -> None:
        for time, name, value in ((LATER, "b", 2.0), (BAR, "b", 1.0), (BAR, "a", 3.0)):
            journal.record_model_metric(time, name, value)
        assert journal.model_metrics_between(BAR, LATER) == [ModelMetric(BAR, "a", 3.0), ModelMetric(BAR, "b", 1.0)]
        assert journal.newest_model_metric("b") == ModelMetric(LATER, "b", 2.0)
        assert journal.newest_model_metric("c") is None

    def test_trades_and_blocked_signals_are_counted(self, journal: Journal) -> None:
        assert journal.table_sizes() == (0, 0)
        journal.record_bar(status_at(), decision_at(action="blocked", gates=4), [], [], [trade_row(9, BAR, 1.0)])
        journal.record_bar(status_at(LATER), decision_at(LATER), [], [], [trade_row(11, LATER, 1.0)])
        assert journal.table_sizes() == (2, 1)

    def test_of_one_moment_the_newest_snapshot_is_kept(self, journal: Journal) -> None:
        journal.snapshot_account(BAR, 500.0, 490.0, 12.5, 1)
        journal.snapshot_account(BAR, 500.0, 491.0, 12.5, 1)
        journal.snapshot_account(LATER, 520.0, 520.0, 0.0, 0)
        expected = [AccountSnapshot(BAR, 500.0, 491.0, 12.5, 1), AccountSnapshot(LATER, 520.0, 520.0, 0.0, 0)]
        assert journal.account_snapshots() == expected
        assert journal.account_snapshots(LATER) == expected[1:]

    def test_news_take_the_newest_impact(self, journal: Journal) -> None:
        cpi, speech = NewsEvent(LATER, "USD", "CPI m/m", "medium"), NewsEvent(BAR, "USD", "Chair's speech", "high")
        journal.record_news([cpi, speech])
        journal.record_news([replace(cpi, impact="high")])
        journal.record_news([])
        assert journal.news_events(BAR, LATER + 1) == [speech, replace(cpi, impact="high")]
        assert journal.news_events(BAR, LATER) == [speech]

    def test_model_metrics_are_a_series(self, journal: Journal) -> None:
        journal.record_model_metric(LATER, "signal.brier", 0.21)
        journal.record_model_metric(BAR, "signal.brier", 0.2)
        journal.record_model_metric(BAR, "drift", 0.01)
        series = [ModelMetric(BAR, "signal.brier", 0.2), ModelMetric(LATER, "signal.brier", 0.21)]
        assert journal.model_metrics("signal.brier") == series
        assert journal.model_metrics("signal.brier", LATER) == series[1:]

    def test_a_flag_survives_a_restart_until_it_is_cleared(self, journal: Journal, place: Place) -> None:
        assert journal.flag("paused") is None
        journal.set_flag("paused", "by 42", BAR)
        journal.set_flag("paused", "by 43", LATER)
        journal.close()
        again = place.open()
        assert again.flag("paused") == Flag("paused", "by 43", LATER)
        again.clear_flag("paused")
        again.clear_flag("paused")
        assert again.flag("paused") is None
        again.close()


class PlaceContract:
    """Who may open a journal. A test class inherits it and gives the fixtures `place` and `journal`."""

    def test_a_second_bot_is_refused(self, journal: Journal, place: Place) -> None:
        with pytest.raises(LockedError, match="another bot"):
            place.open_as_second_bot()
        journal.save_status(status_at())

    def test_a_look_beside_the_bot_reads_and_never_writes(self, journal: Journal, place: Place) -> None:
        journal.save_status(status_at())
        look = place.open(read_only=True)
        status = look.status()
        assert status is not None
        assert status.identity == "me"
        with pytest.raises(StorageError, match=r"read-?only"):
            look.save_status(status_at(LATER))
        look.close()
        journal.save_status(status_at(LATER))

    def test_a_newer_journal_is_refused_and_left_alone(self, journal: Journal, place: Place) -> None:
        journal.close()
        place.run("UPDATE schema_version SET version = 99")
        for read_only in (False, True):
            with pytest.raises(StorageError, match=r"version 99.* install the release"):
                place.open(read_only=read_only)
        assert place.run("SELECT version FROM schema_version") == [{"version": 99}]

    def test_a_guard_of_another_layout_is_refused(self, journal: Journal, place: Place) -> None:
        journal.save_status(replace(status_at()))
        place.run("UPDATE bot_status SET guard = substr(guard, 1, 2)")
        with pytest.raises(StorageError, match="another version"):
            journal.status()

    def test_tables_of_somebody_else_are_left_alone(self, place: Place) -> None:
        place.run("CREATE TABLE trades (id INTEGER)")
        with pytest.raises(StorageError, match="trades"):
            place.open()
        assert place.run("SELECT * FROM trades") == []

    def test_only_a_look_at_an_empty_database_creates_nothing(self, place: Place, tmp_path: Path) -> None:
        place.run("CREATE TABLE somebody (id INTEGER)")
        with pytest.raises(StorageError, match="start the bot once"):
            place.open(read_only=True)
        with pytest.raises(Exception, match="bot_status"):
            place.run("SELECT * FROM bot_status")


class SymbolContract:
    """Two symbols in one journal. A test class inherits it and gives the fixture `place`."""

    def test_the_bots_of_two_symbols_keep_one_journal_and_see_their_own_rows(self, place: Place) -> None:
        for symbol, volume in (("BTCUSD", 0.05), ("ETHUSD", 1.5)):
            journal = place.open(symbol=symbol)
            assert journal.status() is None
            # One bar, one intent's name, one ticket: what told rows apart for one symbol alone.
            journal.record_bar(
                status_at(identity=symbol, cash=volume),
                decision_at(action="entry", price=volume),
                [replace(entry_at(), volume=volume)],
                [deal(7, 2, 0) | {"volume": volume}],
                [],
                notes=BarNotes([PositionEvent(2, BAR, "opened", symbol)], [ModelMetric(BAR, "a", volume)]),
            )
            journal.close()
        for symbol, volume in (("BTCUSD", 0.05), ("ETHUSD", 1.5)):
            journal = place.open(symbol=symbol)
            status, decision = journal.status(), journal.decision(BAR)
            assert status is not None
            assert decision is not None
            assert (status.identity, status.cash, decision["price"]) == (symbol, volume, volume)
            assert [intent.volume for intent in journal.open_intents()] == [volume]
            assert [row["volume"] for row in journal.deals()] == [volume]
            assert [event.detail for event in journal.position_events()] == [symbol]
            assert [metric.value for metric in journal.model_metrics("a")] == [volume]
            assert journal.symbols() == ["BTCUSD", "ETHUSD"]
            journal.close()

    def test_what_one_bot_ends_leaves_the_other_as_it_was(self, place: Place) -> None:
        for symbol in ("BTCUSD", "ETHUSD"):
            journal = place.open(symbol=symbol)
            journal.record_bar(status_at(), decision_at(action="entry"), [entry_at()], [], [])
            journal.close()
        journal = place.open(symbol="ETHUSD")
        journal.close_intent(entry_at(), INTENT_REJECTED, 10_019, 0, gates=1)
        journal.record_bar(status_at(LATER), decision_at(LATER), [], [], [])
        assert journal.open_intents() == []
        journal.close()
        journal = place.open(symbol="BTCUSD")
        status, decision = journal.status(), journal.decision(BAR)
        assert status is not None
        assert decision is not None
        assert (status.last_bar, decision["action"]) == (BAR, "entry")
        assert len(journal.open_intents()) == 1
        journal.close()

    def test_a_reader_need_not_name_the_only_symbol_and_must_name_one_of_two(self, place: Place) -> None:
        journal = place.open()
        journal.save_status(status_at())
        journal.close()
        reader = place.open(read_only=True, symbol=None)
        assert (reader.symbol, reader.status() is None) == ("BTCUSD", False)
        reader.close()
        other = place.open(symbol="ETHUSD")
        assert other.stranger() == "me", "whose journal it is, for a bot that finds no row of its own"
        other.save_status(status_at(identity="other"))
        assert other.stranger() is None
        other.close()
        reader = place.open(read_only=True, symbol=None)
        with pytest.raises(StorageError, match=r"holds BTCUSD, ETHUSD.*whose rows"):
            reader.status()
        reader.close()

    def test_nothing_is_written_of_a_symbol_that_nobody_has_named(self, place: Place) -> None:
        journal = place.open(symbol=None)
        assert journal.status() is None
        assert journal.deals() == []
        with pytest.raises(StorageError, match=r"is new, and nobody says"):
            journal.save_status(status_at())
        journal.close()
