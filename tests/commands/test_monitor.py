"""The newest live trades: figures by hand, honest verdicts, one alert a day, one retraining at a time."""

from __future__ import annotations

import json
import stat
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from filelock import FileLock

from commands import monitor
from engine.outputs.tables import TRADE_COLUMNS, trade_row, write_trades
from engine.records import Guard, new_record, to_text
from novosky.database.place import sqlite_url
from novosky.errors import DataError
from novosky.market.timeframe import TIMEFRAMES
from tests.engine.outputs.test_tables import trade_with
from tests.helpers.command_line import Answer, run_script
from tests.hosts.telegram_host import OWNER, PARTNER, TOKEN, TelegramHost, failure, telegram_host
from trading.journal import BotStatus, Decision, Journal
from trading.reports.health import Health, health_file, write_health
from trading.reports.performance import (
    LEAST_TRADES,
    ClosedTrade,
    Judgement,
    Limits,
    judge,
    measure,
    read_trades,
    trades_of_records,
)
from trading.reports.performance_alert import FRESH_BARS, alert_message, queue_alert, served_outbox

USUAL = Limits(min_win_rate=0.55, min_profit_factor=2.0, most_losses=7)
GOOD = [3.0, 3.0, -1.0] * 20
BAD = [1.0, -1.0] * 30
HOUR = 3600
START = 1_709_251_200


def trades(net: Sequence[float], balance: float = 500.0) -> list[ClosedTrade]:
    found = []
    for k, value in enumerate(net):
        balance += value
        found.append(ClosedTrade(START + k * HOUR, value, balance))
    return found


def judged(net: Sequence[float], lookback: int = 50, limits: Limits = USUAL) -> Judgement:
    return judge(measure(trades(net), lookback), limits)


def test_figures_by_hand() -> None:
    figures = measure(trades([50.0, -20.0, -30.0, 10.0, -5.0, 0.0, -1.0, -2.0]), 50)
    assert (figures.trades, figures.wins, figures.win_rate) == (8, 2, 0.25)
    assert figures.profit_factor == pytest.approx(60.0 / 58.0)
    assert (figures.longest_losing_run, figures.current_losing_run) == (2, 2)
    assert figures.max_drawdown == pytest.approx(50.0 / 550.0)
    assert figures.net == pytest.approx(2.0)
    assert (figures.first_exit, figures.last_exit) == ("2024-03-01T00:00:00Z", "2024-03-01T07:00:00Z")


def test_the_win_rate_has_its_wilson_interval() -> None:
    figures = measure(trades([1.0, -1.0] * 5), 50)
    assert (figures.win_rate_low, figures.win_rate_high) == (
        pytest.approx(0.2366, abs=1e-4),
        pytest.approx(0.7634, abs=1e-4),
    )


def test_only_the_newest_trades_count_whatever_the_order() -> None:
    found = trades([-9.0] * 30 + [1.0] * 20)
    assert measure(found[::-1], 20) == measure(found[30:], 20)


def test_a_deposit_is_no_gain() -> None:
    found = trades([-10.0, -10.0])
    deposited = [found[0], ClosedTrade(found[1].exit_time, -10.0, 5_480.0)]
    assert measure(deposited, 50).max_drawdown == measure(found, 50).max_drawdown == pytest.approx(20.0 / 500.0)


def test_no_trades_have_no_figures() -> None:
    figures = measure([], 50)
    assert (figures.trades, figures.win_rate, figures.profit_factor, figures.max_drawdown) == (0, None, None, None)


def test_good_trades_are_healthy() -> None:
    assert judged(GOOD).verdict == "healthy"


@pytest.mark.parametrize(
    ("net", "reason"),
    [
        ([5.0, -1.0] * 30, "win rate 50.0%"),
        ([1.0, 1.0, -1.0] * 20, "profit factor 1.94"),
        ([9.0] * 52 + [-1.0] * 8, "8 losses in a row, allowed are 7"),
    ],
)
def test_each_limit_alone_degrades(net: list[float], reason: str) -> None:
    verdict = judged(net)
    assert verdict.verdict == "degraded"
    assert len(verdict.reasons) == 1 and verdict.reasons[0].startswith(reason)


def test_a_figure_at_its_limit_is_good_enough() -> None:
    net = [2.0] * 11 + [-1.0] * 2 + [2.0] * 0 + [-1.0] * 7
    figures = measure(trades(net), 20)
    assert figures.profit_factor is not None and figures.win_rate is not None
    exact = Limits(figures.win_rate, figures.profit_factor, figures.longest_losing_run)
    assert judge(figures, exact).verdict == "healthy"


def test_fewer_trades_than_asked_for_is_said_and_judged() -> None:
    verdict = judged(GOOD[:30])
    assert verdict.verdict == "healthy"
    assert "only 30 of the 50" in verdict.notes[0]


def test_fewer_than_ten_are_not_judged_by_their_rates() -> None:
    assert judged([-1.0, 1.0] * 4 + [-1.0]).verdict == "too few trades"
    assert judged([-1.0, 1.0] * 5).verdict == "degraded"


def test_a_long_losing_run_needs_no_tenth_trade() -> None:
    assert judged([-1.0] * 8).verdict == "degraded"
    assert judged([-1.0] * 7).verdict == "too few trades"
    assert LEAST_TRADES == 10


def test_it_says_whether_a_low_win_rate_may_be_chance() -> None:
    assert "may be chance" in judged([3.0, -1.0] * 25).notes[-1]
    assert "wholly below" in judged([30.0, -1.0, -1.0, -1.0, -1.0] * 10).notes[-1]


def test_the_file_a_bot_exports_holds_the_trades_of_its_journal(tmp_path: Path) -> None:
    records = [trade_with(profit=4.98, commission=-0.3, swap=-1.05), trade_with(profit=-2.0, exit_time=START + HOUR)]
    write_trades(tmp_path / "trades.csv", (trade_row(record, 2) for record in records))
    from_file = read_trades(tmp_path / "trades.csv")
    from_journal = trades_of_records(map(to_text, records))
    assert from_file == from_journal
    assert from_file[0].net == pytest.approx(3.63)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b\n1,2\n", "no column"),
        (",".join(TRADE_COLUMNS) + "\nx\n", "line 2"),
        (",".join(TRADE_COLUMNS) + "\n" + ",".join(["2024-01-01T00:00:00"] * 7 + ["1"] * 6) + "\n", "line 2"),
        ("\x00\xff", "cannot be read|no column"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "trades.csv").write_bytes(content.encode("latin-1"))
    with pytest.raises(DataError, match=message):
        read_trades(tmp_path / "trades.csv")


# The command.


def write_csv(folder: Path, net: Sequence[float]) -> Path:
    balance = 500.0
    rows = []
    for k, value in enumerate(net):
        balance += value
        record = trade_with(profit=value, commission=0.0, swap=0.0, balance=balance, exit_time=START + k * HOUR)
        rows.append(trade_row(record, 2))
    write_trades(folder / "trades.csv", rows)
    return folder / "trades.csv"


def write_journal(folder: Path, net: Sequence[float], identity: str = "demo account ...123 on S, BTCUSD (a)") -> Path:
    path = folder / "logs" / "novosky.sqlite"
    path.parent.mkdir(exist_ok=True)
    books = Journal(sqlite_url(path), symbol="BTCUSD", durable=False)
    status = BotStatus(identity, START, 1, 0, 0, 500.0, new_record(Guard), "rf", finished=False)
    rows, balance = [], 500.0
    for k, value in enumerate(net):
        balance += value
        record = trade_with(profit=value, commission=0.0, swap=0.0, balance=balance, exit_time=START + k * HOUR)
        rows.append({"deal": k + 1, "position": k + 1, "trade": to_text(record), "exit_time": START + k * HOUR})
    books.record_bar(status, Decision(START, "none", 1.0, 1.0, 500.0), [], [], rows)
    books.close()
    return path


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No Telegram and no database of the machine the tests run on."""
    for name in ("TELEGRAM_BOT_TOKEN", "TELEGRAM_CHAT_IDS", "TELEGRAM_API_URL", "NOVOSKY_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.fixture
def host(quiet: pytest.MonkeyPatch) -> Iterator[TelegramHost]:
    with telegram_host() as host:
        quiet.setenv("TELEGRAM_BOT_TOKEN", TOKEN)
        quiet.setenv("TELEGRAM_CHAT_IDS", f"{OWNER},{PARTNER}")
        quiet.setenv("TELEGRAM_API_URL", f"http://127.0.0.1:{host.server.server_port}")
        yield host


ASKED = ("--min-wr", 0.55, "--min-pf", 2.0, "--max-cl", 7)


def run(cwd: Path, *arguments: object) -> Answer:
    return run_script("scripts/performance_monitor.py", *ASKED, *arguments, cwd=cwd)


@pytest.mark.parametrize(("net", "code", "word"), [(GOOD, 0, "HEALTHY"), (BAD, 1, "DEGRADED"), ([1.0], 3, "TOO FEW")])
def test_exit_codes(quiet: object, tmp_path: Path, net: list[float], code: int, word: str) -> None:
    answer = run(tmp_path, "--trades", write_csv(tmp_path, net))
    assert answer.code == code, answer.err
    assert word in answer.out


def test_the_journal_of_the_live_bot_is_the_usual_source(quiet: object, tmp_path: Path) -> None:
    write_journal(tmp_path, BAD)
    answer = run(tmp_path, "--lookback", 50, "--json", "out.json")
    assert answer.code == 1
    content = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert content["verdict"] == "degraded" and content["trades"] == 50
    assert not any(isinstance(value, dict | list) for value in content.values())


def test_no_journal_is_no_data(quiet: object, tmp_path: Path) -> None:
    answer = run(tmp_path, "--lookback", 20)
    assert answer.code == 3
    assert "no data" in answer.out
    assert run(tmp_path, "--trades", "absent.csv").code == 3


def test_a_damaged_journal_is_an_error_of_storage(quiet: object, tmp_path: Path) -> None:
    (tmp_path / "broken.sqlite").write_text("no database at all, only words and more words")
    assert run(tmp_path, "--journal", "broken.sqlite").code == 7


@pytest.mark.parametrize("arguments", [["--lookback", 9], ["--min-wr", 55], ["--journal", "a", "--trades", "b"]])
def test_wrong_arguments(quiet: object, tmp_path: Path, arguments: list[object]) -> None:
    assert run(tmp_path, *arguments).code == 2


def test_an_alert_without_telegram_is_said_and_the_run_goes_on(quiet: object, tmp_path: Path) -> None:
    answer = run(tmp_path, "--trades", write_csv(tmp_path, BAD), "--alert", "--dry-retrain", *config(tmp_path))
    assert answer.code == 1
    assert "no alert channel is configured" in answer.out and "would run" in answer.out


def test_every_chat_is_told_once_a_day(host: TelegramHost, tmp_path: Path) -> None:
    csv = write_csv(tmp_path, BAD)
    assert "sent to 2 chat(s)" in run(tmp_path, "--trades", csv, "--alert").out
    assert "told today already" in run(tmp_path, "--trades", csv, "--alert").out
    assert len(host.texts(OWNER)) == len(host.texts(PARTNER)) == 1
    assert "win rate 50.0%" in host.texts(OWNER)[0]


def test_healthy_trades_tell_nobody(host: TelegramHost, tmp_path: Path) -> None:
    assert run(tmp_path, "--trades", write_csv(tmp_path, GOOD), "--alert").code == 0
    assert host.sent == []


def test_an_alert_that_did_not_arrive_is_tried_again(host: TelegramHost, tmp_path: Path) -> None:
    csv = write_csv(tmp_path, BAD)
    host.plan("sendMessage", failure(502, "Bad Gateway"), failure(502, "Bad Gateway"))
    answer = run(tmp_path, "--trades", csv, "--alert")
    assert answer.code == 1 and "not everybody was reached" in answer.out
    assert TOKEN not in answer.out + answer.err
    assert "sent to 2 chat(s)" in run(tmp_path, "--trades", csv, "--alert").out


def health_of(identity: str, written: int, state: str = "running") -> Health:
    return Health(
        state=state,  # type: ignore[arg-type]
        started=written - 10,
        written=written,
        pid=1,
        identity=identity,
        last_bar=written,
        bars_processed=1,
        bars_missed=0,
        equity=500.0,
        balance=500.0,
        position=None,
        breakers=(),
        models="rf",
        fingerprint="a",
        versions={},
        server_clock="UTC",
        trading_hours={},
    )


@pytest.mark.parametrize(
    ("identity", "age", "state", "served"),
    [
        ("real account ...1 on S, BTCUSD (a)", 60, "running", True),
        ("real account ...1 on S, BTCUSD (a)", FRESH_BARS * TIMEFRAMES["M15"].seconds + 1, "running", False),
        ("real account ...1 on S, BTCUSD (a)", 60, "stopped", False),
        ("embedded market:1", 60, "running", False),
    ],
)
def test_a_queue_is_served_by_a_live_bot_at_work(
    tmp_path: Path, identity: str, age: int, state: str, served: bool
) -> None:
    journal = tmp_path / "novosky.sqlite"
    assert not served_outbox(journal, START)
    write_health(health_file(journal), health_of(identity, START - age, state))
    assert served_outbox(journal, START) is served


def test_a_day_has_one_alert_in_the_queue(tmp_path: Path) -> None:
    journal = write_journal(tmp_path, BAD)
    for seconds in (0, HOUR, 25 * HOUR):
        queue_alert(journal, alert_message(judged(BAD), "the journal", START + seconds), ["telegram"])
    books = Journal(sqlite_url(journal), symbol="BTCUSD", durable=False, channels=("telegram",))
    queued = books.outbox.due(START + 100 * HOUR, 10)
    books.close()
    assert [message.key for message in queued] == ["performance:2024-03-01", "performance:2024-03-02"]
    assert {message.kind for message in queued} == {"risk"}


def test_beside_a_live_bot_the_alert_joins_its_queue(host: TelegramHost, tmp_path: Path) -> None:
    journal = write_journal(tmp_path, BAD)
    write_health(health_file(journal), health_of("demo account ...123 on S, BTCUSD (a)", int(time.time())))
    assert "queued in the bot's outbox" in run(tmp_path, "--alert").out
    assert "told today already" in run(tmp_path, "--alert").out
    books = Journal(sqlite_url(journal), symbol="BTCUSD", durable=False, channels=("telegram",))
    assert len(books.outbox.due(2**40, 10)) == 1
    books.close()
    assert host.sent == []


def config(folder: Path) -> list[object]:
    content = json.loads((Path(__file__).resolve().parents[2] / "config.json").read_text(encoding="utf-8"))
    content["risk_profile"]["name"] = "growth"
    (folder / "growth.json").write_text(json.dumps(content), encoding="utf-8")
    return ["--config", folder / "growth.json"]


def test_the_dry_run_shows_the_command_with_the_profile(quiet: object, tmp_path: Path) -> None:
    answer = run(tmp_path, "--trades", write_csv(tmp_path, BAD), "--retrain", "--dry-retrain", *config(tmp_path))
    assert answer.code == 1
    assert "weekly_optimize.py --profile growth" in answer.out
    assert not (tmp_path / "logs").exists()


@pytest.fixture
def optimiser(tmp_path: Path) -> list[str]:
    """A stand-in for the weekly optimisation that notes each of its runs."""
    script = tmp_path / "weekly_optimize.py"
    script.write_text(f"open({str(tmp_path / 'runs.txt')!r}, 'a').write('run ')\nraise SystemExit(5)\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return [sys.executable, str(script)]


def test_a_retraining_waits_for_new_trades_before_the_next(optimiser: list[str], tmp_path: Path) -> None:
    def retrain(days: float) -> str:
        return monitor._retrain(optimiser, tmp_path, START + days * 86_400, 7, dry=False)

    assert "ended with 5" in retrain(0.0)
    assert "less than 7 days ago" in retrain(6.9)
    assert (tmp_path / "runs.txt").read_text() == "run "
    assert "ended with 5" in retrain(7.1)
    assert (tmp_path / "runs.txt").read_text() == "run run "


def test_two_retrainings_never_overlap(optimiser: list[str], tmp_path: Path) -> None:
    with FileLock(str(tmp_path / monitor.LOCK_NAME)):
        assert "running already" in monitor._retrain(optimiser, tmp_path, START, 7, dry=False)
    assert not (tmp_path / "runs.txt").exists()


def test_without_the_script_nothing_is_started(tmp_path: Path) -> None:
    assert "needs a checkout" in monitor._retrain([sys.executable, "absent.py"], tmp_path, START, 7, dry=False)


def test_a_damaged_memory_of_earlier_runs_is_named(host: TelegramHost, tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / monitor.STATE_NAME).write_text("{")
    answer = run(tmp_path, "--trades", write_csv(tmp_path, BAD), "--alert")
    assert answer.code == 7 and monitor.STATE_NAME in answer.err
