"""The live loop as a program of its own over a simulated terminal whose market runs ahead of the clock.

Arguments: a folder with settings, models and room for the journal; bars; and the pace, in
seconds of the market for each second of the clock. Standard output is one line of JSON.

The journal is synced to disk as a trader's is. What an order has taken is measured by the
clock, from the moment its bar closed to the moment the terminal got the order, the loop's
own polling included.
"""

from __future__ import annotations

import contextlib
import gc
import json
import sys
import time
from pathlib import Path
from random import Random
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from bench.machine import resident_mib  # noqa: E402
from ml.feature_engineering import live_window_bars  # noqa: E402
from ml.load_models import load_models  # noqa: E402
from novosky.clock import Clock  # noqa: E402
from novosky.data.synthetic import synthetic_bars  # noqa: E402
from novosky.market.news import NewsCalendar  # noqa: E402
from novosky.market.timeframe import USUAL  # noqa: E402
from novosky.settings import load_ml_settings, load_settings  # noqa: E402
from trading.brokers.bridge.simulated import PacedServer, simulated_market  # noqa: E402
from trading.brokers.mt5.entry import TerminalReach  # noqa: E402
from trading.brokers.mt5.terms import Access, Timing  # noqa: E402
from trading.brokers.simulated.clock import TerminalClock  # noqa: E402
from trading.brokers.simulated.functions.terminal import SimulatedTerminal  # noqa: E402
from trading.brokers.simulated.server import TradeServer  # noqa: E402
from trading.cycle.news import FixedNews  # noqa: E402
from trading.live.parts import LiveParts  # noqa: E402
from trading.live.session import live_session  # noqa: E402

TICK_AGE = 900.0
"""The simulated market ticks once a bar; compressed, a quote is old before the bot has thought."""


class PacedClock(Clock):
    """Tells and waits the market's time, while the market keeps its pace with the machine's clock.

    Parameters
    ----------
    paced : PacedServer
    """

    def __init__(self, paced: PacedServer) -> None:
        self._paced, self._market = paced, TerminalClock(paced.server)
        self.closed_at = time.process_time()
        """The process's CPU time in seconds when the newest bar closed."""

    def now(self) -> float:
        """Let what is due happen and return UTC epoch seconds of the market."""
        self._paced.catch_up()
        return self._market.now()

    def watch(self, server: TradeServer) -> None:
        """Note the CPU time at every close, whoever asks first and so moves the market: this clock or the terminal."""
        advance = server.advance

        def advance_and_note() -> None:
            advance()
            self.closed_at = time.process_time()

        server.advance = advance_and_note  # type: ignore[method-assign]

    def sleep(self, seconds: float) -> None:
        """Wait so long on the market's clock."""
        time.sleep(max(0.0, seconds) / self._paced.pace)


class Stopwatch:
    """A terminal that notes when each order arrives: milliseconds since its bar closed, and CPU milliseconds.

    Parameters
    ----------
    terminal : SimulatedTerminal
    paced : PacedServer
        Its market, which begins to move now.
    clock : PacedClock
    """

    def __init__(self, terminal: SimulatedTerminal, paced: PacedServer, clock: PacedClock) -> None:
        self.terminal, self._paced, self._clock = terminal, paced, clock
        self._began, self._origin = time.monotonic(), paced.server.now
        self.orders: list[float] = []
        self.worked: list[float] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.terminal, name)

    def order_send(self, request: dict[str, Any]) -> Any:
        """Pass an order on."""
        closed = self._paced.server.main.quote().time
        due = self._began + (closed - self._origin) / self._paced.pace
        self.orders.append(1e3 * (time.monotonic() - due))
        self.worked.append(1e3 * (time.process_time() - self._clock.closed_at))
        return self.terminal.order_send(request)


def soak(folder: Path, bars: int, pace: float) -> dict[str, Any]:
    """Run the bot over a market of so many bars and return what was measured."""
    settings, ml_settings = load_settings(folder / "config.json"), load_ml_settings(folder / "ml_config.json")
    models = load_models(folder / "models", settings, ml_settings)
    market = synthetic_bars("planted", live_window_bars(USUAL) + bars, seed=8)
    terminal, still = simulated_market(market, settings, ml_settings, pace, time.monotonic)
    server = still.server
    server.advance()
    gc.collect()
    paced = PacedServer(server, pace, time.monotonic)
    clock = PacedClock(paced)
    clock.watch(server)
    stopwatch = Stopwatch(terminal, paced, clock)
    resident: list[float] = []
    parts = LiveParts(
        settings=settings,
        ml_settings=ml_settings,
        models=models,
        reach=TerminalReach(
            Access(server.terms.login, server.terms.server, real=False),
            lambda: stopwatch,
            True,
            timing=Timing(tick_age=TICK_AGE),
            volume_unit=server.main.volume_scale,
        ),
        folder=folder / "logs",
        journal=folder / "logs" / "novosky.sqlite",
        news=FixedNews(NewsCalendar.from_times(market["time"].astype("int64").to_numpy()[:1] // 10**9)),
        clock=clock,
        rng=Random(1),
        new_code=lambda: "0",
    )
    with live_session(parts) as session:

        def stopping() -> bool:
            processed = 0 if session.bot is None else session.bot.status.bars_processed
            if processed > len(resident):
                resident.extend([resident_now()] * (processed - len(resident)))
            return server.at_end and session.bot is not None and session.bot.status.last_bar >= server.now

        session.run(stopping)
        status = session.journal.status()
        trades = len(session.journal.trades())
    assert status is not None
    return {
        "bars": status.bars_processed,
        "bars missed": status.bars_missed,
        "trades": trades,
        "order_ms": stopwatch.orders,
        "order_cpu_ms": stopwatch.worked,
        "resident_mib": resident,
    }


def resident_now() -> float:
    """Return this process's resident memory in MiB."""
    memory = resident_mib()
    assert memory is not None, "needs /proc"
    return memory[0]


if __name__ == "__main__":
    # What the bot says of every bar is for people; standard output carries the result alone.
    with contextlib.redirect_stdout(sys.stderr):
        measured = soak(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
    print(json.dumps(measured))
