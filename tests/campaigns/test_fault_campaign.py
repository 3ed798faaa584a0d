"""Faults at every call, deaths at every boundary, and real kills: the books of bot and broker stay the same.

What is checked after every cycle stands in `campaign_audit.Auditor`, against the trade
server's own books: at most one position of the bot and none that its journal does not know;
no intent executed twice; no position without its stop; every deal written down once, every
exit a trade with the server's figures; balance and cash the sums of the deals; the guard
equal to the engine's judgement of each bar from what the server held at that moment; foreign
positions left alone.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.records import Trade, from_text
from tests.campaigns.audit import own_positions
from tests.campaigns.faults import HISTORY_FAULTS, POSITION_FAULTS, READ_FAULTS, SEND_FAULTS
from tests.campaigns.stage import Rates, World, campaign_scenario
from tests.helpers.paper_runs import WARM_UP
from trading.brokers.mt5_package.constants import SYMBOL_FILLING_IOC
from trading.brokers.mt5_package.constants import ModuleConstants as C
from trading.brokers.simulated.faults import partial_fill
from trading.brokers.simulated.functions.terminal import SimulatedTerminal

ROOT = Path(__file__).resolve().parents[2]
SMALL_BARS, FULL_BARS = 700, 96_000
SMALL_DEATHS, FULL_DEATHS = 50, 500
"""At reads, orders and writes: the process forgets everything but its files. The kills of real processes
come on top, `KILLS` in every run."""
KILL_BARS, KILLS = 320, 6
PATIENCE = 60.0
ALL_FAULTS = {*SEND_FAULTS, *READ_FAULTS, *POSITION_FAULTS, *HISTORY_FAULTS}


def live_through(folder: Path, bars: int, rates: Rates, seed: int) -> dict[str, Any]:
    """Run a campaign to its end and return its figures, printed as well."""
    world = World(campaign_scenario(bars), folder, rates, seed)
    began = time.monotonic()
    try:
        world.run()
        world.calm_down()
    finally:
        figures = {**world.figures(), "seconds": round(time.monotonic() - began, 1)}
        print(json.dumps(figures, indent=1))
        world.close()
    return figures


def test_small_campaign(tmp_path: Path) -> None:
    figures = live_through(tmp_path, SMALL_BARS, Rates(death=0.16, read=0.008, weather=0.06), seed=1)
    assert figures["deaths"] >= SMALL_DEATHS
    assert figures["trades"] > 50
    assert figures["closed positions of others"] >= 1
    assert len(figures["faults by kind"]) > 20
    assert {place.split()[0] for place in figures["deaths by place"]} == {"before", "inside", "after"}


@pytest.mark.full
def test_full_campaign(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    if not request.config.getoption("--full"):
        pytest.skip("takes a quarter of an hour; run with --full")
    figures = live_through(tmp_path, FULL_BARS, Rates(death=0.009), seed=20)
    assert figures["deaths"] >= FULL_DEATHS
    assert figures["trades"] > 5_000
    assert set(figures["faults by kind"]) == ALL_FAULTS


def test_without_faults_every_bar_is_processed_and_the_audit_agrees(tmp_path: Path) -> None:
    world = World(campaign_scenario(300), tmp_path, Rates(0.0, 0.0, 0.0, 0.0))
    world.run()
    world.calm_down()
    assert (world.auditor.audits, world.auditor.late_quotes, world.auditor.exposed_most) == (299, 0, 0)
    assert world.auditor.trades >= 25
    world.close()


def test_a_market_that_fills_in_parts(tmp_path: Path) -> None:
    world = World(campaign_scenario(300, seed=41), tmp_path, Rates(send=0.4, death=0.02), seed=41)
    world.server.respecify("BTCUSD", filling_mode=SYMBOL_FILLING_IOC)
    world.storm.plan(*(partial_fill(0.1).on("order_send", skip=skip) for skip in range(0, 120, 2)))
    world.run()
    world.calm_down()
    (parts,) = world.auditor.ask("SELECT count(*) - count(DISTINCT position) FROM trades")[0]
    assert parts >= 3
    world.close()


def test_the_parts_of_a_position_share_the_commission_of_its_entry(tmp_path: Path) -> None:
    world = quiet_world(tmp_path)
    (held,) = own_positions(world.server)
    hand = SimulatedTerminal(world.server)
    hand.initialize()
    kind = 1 if held.side > 0 else 0
    closing = {"action": 1, "symbol": "BTCUSD", "type": kind, "type_filling": 1, "position": held.ticket}
    whole = float(held.account.volume)
    for volume in (0.01, 0.01, round(whole - 0.02, 2)):
        answer = hand.order_send({**closing, "volume": volume})
        assert answer is not None and answer.retcode == C.TRADE_RETCODE_DONE
    world.run(world.server.bar + 2)
    rows = world.auditor.ask("SELECT trade FROM trades WHERE position = ?", held.ticket)
    commissions = [float(from_text(Trade, content).commission) for (content,) in rows]
    assert len(commissions) == 3
    assert sum(commissions) == pytest.approx(-2.0 * 2.0 * whole), "two dollars for a lot and side"
    world.close()


class Campaigns:
    """Campaigns as processes of their own, forked from one that has everything loaded."""

    def __init__(self) -> None:
        program = [sys.executable, str(ROOT / "tests" / "campaigns" / "child.py")]
        self._server = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> Campaigns:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.kill()
        self._server.communicate()

    def start(self, folder: Path, bars: int, seed: int) -> int:
        """Start a campaign and return its process id."""
        assert self._server.stdin is not None
        self._server.stdin.write(json.dumps([str(folder), bars, seed]) + "\n")
        self._server.stdin.flush()
        return self.answer()

    def answer(self) -> int:
        """Return the next number: a process id, or what `waitpid` said of the newest process."""
        assert self._server.stdout is not None
        return int(self._server.stdout.readline())


def wait_for_bars(journal: Path, bars: int) -> None:
    """Return once so many bars are in a journal."""
    since = time.monotonic()
    while time.monotonic() - since < PATIENCE:
        if journal.exists():
            with closing(sqlite3.connect(f"{journal.as_uri()}?mode=ro", uri=True)) as connection:
                try:
                    (count,) = connection.execute("SELECT count(*) FROM decisions").fetchone()
                except sqlite3.OperationalError:
                    # The process has created the file and not yet its tables.
                    count = 0
            if count >= bars:
                return
        time.sleep(0.005)
    raise AssertionError(f"bar {bars} was not reached in {PATIENCE:.0f} s")


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL and fork are POSIX")
def test_processes_killed_in_the_middle_of_the_campaign(tmp_path: Path) -> None:
    chance = np.random.default_rng(9)
    ended = []
    with Campaigns() as campaigns:
        for kill in range(KILLS):
            process = campaigns.start(tmp_path, KILL_BARS, kill)
            wait_for_bars(tmp_path / "journal.sqlite", (kill + 1) * (KILL_BARS - 80) // KILLS)
            time.sleep(float(chance.uniform(0.0, 0.02)))
            os.kill(process, signal.SIGKILL)
            ended.append(os.WTERMSIG(campaigns.answer()))
    assert ended == [signal.SIGKILL] * KILLS
    world = World(campaign_scenario(KILL_BARS), tmp_path, Rates(), seed=99)
    world.run()
    world.calm_down()
    print("trades", world.auditor.trades)
    assert world.auditor.trades > 25
    world.close()


def quiet_world(folder: Path) -> World:
    """Return a world in which nothing goes wrong, at a bar with an open position and trades behind it."""
    world = World(campaign_scenario(300), folder, Rates(0.0, 0.0, 0.0, 0.0))
    world.run(WARM_UP + 60)
    while not own_positions(world.server):
        world.run(world.server.bar + 1)
    return world


def test_the_audit_sees_a_second_position(tmp_path: Path) -> None:
    world = quiet_world(tmp_path)
    (held,) = own_positions(world.server)
    world.server.book.positions[1] = replace(held, ticket=1, identifier=1)
    with pytest.raises(AssertionError, match="two positions"):
        world.auditor.after_cycle(undisturbed=True)
    world.close()


def test_the_audit_sees_a_lost_stop_at_the_second_cycle(tmp_path: Path) -> None:
    world = quiet_world(tmp_path)
    (held,) = own_positions(world.server)
    held.account.sl = -np.inf
    world.auditor.after_cycle(undisturbed=True)
    with pytest.raises(AssertionError, match="without its stop"):
        world.auditor.after_cycle(undisturbed=True)
    world.close()


TAMPERING = {
    "a deal is missing": "DELETE FROM deals WHERE ticket = (SELECT max(ticket) FROM deals)",
    "a deal is there twice": "INSERT INTO deals SELECT symbol, ticket + 1, position, time, entry, reason, volume, "
    "price, commission, swap, profit, magic, comment FROM deals WHERE ticket = (SELECT max(ticket) FROM deals)",
    "a trade is missing": "DELETE FROM trades WHERE deal = (SELECT max(deal) FROM trades)",
    "the cash is wrong": "UPDATE bot_status SET cash = cash + 0.01",
    "a breaker is lost": "UPDATE bot_status SET guard = json_set(guard, '$.peak_equity', 0.0, '$.closed', 0)",
    "an order is forgotten": "DELETE FROM intents WHERE state = 'filled'",
}


@pytest.mark.parametrize("statement", TAMPERING.values(), ids=TAMPERING.keys())
def test_the_audit_sees_a_journal_that_differs(tmp_path: Path, statement: str) -> None:
    world = quiet_world(tmp_path)
    world.auditor.after_cycle(undisturbed=True)
    world.close()
    with closing(sqlite3.connect(tmp_path / "journal.sqlite")) as connection:
        connection.execute(statement)
        connection.commit()
    world = World(campaign_scenario(300), tmp_path, Rates(0.0, 0.0, 0.0, 0.0))
    with pytest.raises(AssertionError):
        for _ in range(3):
            world.auditor.after_cycle(undisturbed=True)
    world.close()
