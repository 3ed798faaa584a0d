"""A paper bot over stored bars in a fresh process: one sample of `bench.replay_bench`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from alerts.notify import SilentNotifier
from bench.machine import resident_mib
from bench.measure import CPU, WALL
from ml.load_models import load_models_apart
from novosky.data.store import load_bars
from novosky.settings import load_ml_settings, load_settings
from trading.paper.replay import run_replay
from trading.paper.session import PaperMarket, open_session

WARM_UP_CYCLES = 20
"""The first cycles load the compiled kernels; that is start-up."""


def main(
    data: str, models: str, config: str, ml_config: str, count: str, journal: str, durable: str
) -> dict[str, object]:
    """Replay a file's last `count` bars; `durable` is yes for a journal synced to disk as a live bot's is."""
    settings, ml_settings = load_settings(Path(config)), load_ml_settings(Path(ml_config))
    frame = load_bars(Path(data), seconds=settings.frame.seconds)
    market = PaperMarket(name="bench", frame=frame, first=len(frame) - int(count), m1=None, fixed_spread=False)
    session = open_session(
        market,
        settings,
        ml_settings,
        # As a live bot does, whose memory this is to show.
        load_models_apart(Path(models), settings, ml_settings),
        Path(journal),
        SilentNotifier(),
        news=None,
        frozen=lambda: False,
        durable=durable == "yes",
    )
    cycles: list[float] = []
    moments: list[tuple[float, float]] = []

    def cycle() -> bool:
        moments.append((WALL(), CPU()))
        acted = session.bot.cycle()
        cycles.append(WALL() - moments[-1][0])
        return acted

    run_replay(cycle, session.server, lambda bar: None)
    wall, cpu = (end - begun for end, begun in zip((WALL(), CPU()), moments[WARM_UP_CYCLES], strict=True))
    memory = resident_mib()
    return {
        "bars": len(cycles) - WARM_UP_CYCLES,
        "trades": int(session.bot.status.guard.closed),
        "wall_s": wall,
        "cpu_s": cpu,
        "cycle_p50_ms": 1e3 * float(np.percentile(cycles[WARM_UP_CYCLES:], 50)),
        "cycle_p99_ms": 1e3 * float(np.percentile(cycles[WARM_UP_CYCLES:], 99)),
        "resident_mib": None if memory is None else memory[0],
        "peak_mib": None if memory is None else memory[1],
    }


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
