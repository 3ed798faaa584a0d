"""A week of bars through the running program: orders in time, memory that does not grow."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tests.helpers.desk import Desk

ROOT = Path(__file__).resolve().parents[2]
DAY = 96
"""Bars."""
WEEK, FULL_PACE = 7 * DAY, 1_000.0
SMALL_PACE = 4_000.0
ORDER_MS = 100.0
LOOSE_ORDER_MS = 1_000.0
"""For a machine that others use as well."""
RESIDENT_MIB = 500.0
GROWTH = 0.05

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")


@dataclass(frozen=True)
class Soaked:
    """What a run has shown.

    Attributes
    ----------
    bars, missed, trades : int
    orders : ndarray
        Milliseconds from a bar's close to the order's arrival at the terminal.
    worked : ndarray
        CPU milliseconds in between; other programs on the machine are not in them.
    resident : ndarray
        MiB after each processed bar.
    """

    bars: int
    missed: int
    trades: int
    orders: npt.NDArray[np.float64]
    worked: npt.NDArray[np.float64]
    resident: npt.NDArray[np.float64]

    def figures(self) -> dict[str, Any]:
        """Return the run in few numbers."""
        return {
            "bars": self.bars,
            "bars missed": self.missed,
            "trades": self.trades,
            "orders": len(self.orders),
            "order ms p50": round(float(np.median(self.orders)), 1),
            "order ms p99": round(self.p99, 1),
            "order CPU ms p50": round(float(np.median(self.worked)), 1),
            "order CPU ms p99": round(float(np.percentile(self.worked, 99)), 1),
            "order ms max": round(float(self.orders.max()), 1),
            "resident MiB by day": [round(self.resident_on(day), 1) for day in range(len(self.resident) // DAY)],
            "resident MiB max": round(float(self.resident.max()), 1),
        }

    @property
    def p99(self) -> float:
        """Milliseconds."""
        return float(np.percentile(self.orders, 99))

    def resident_on(self, day: int) -> float:
        """Return the mean of a day; days count from 0, a last one may be short."""
        return float(self.resident[day * DAY : (day + 1) * DAY].mean())


def soak(desk: Desk, folder: Path, bars: int, pace: float, limit: float) -> Soaked:
    """Run the program of `soak_child` and read what it measured."""
    for path in (desk.config, desk.ml_config):
        shutil.copy(path, folder)
    shutil.copytree(desk.models, folder / "models")
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "campaigns" / "soak_child.py"), str(folder), str(bars), str(pace)],
        capture_output=True,
        text=True,
        check=False,
        timeout=limit,
    )
    assert done.returncode == 0, done.stderr
    content = json.loads(done.stdout)
    soaked = Soaked(
        content["bars"],
        content["bars missed"],
        content["trades"],
        np.array(content["order_ms"]),
        np.array(content["order_cpu_ms"]),
        np.array(content["resident_mib"]),
    )
    print(json.dumps(soaked.figures(), indent=1))
    return soaked


def test_a_day_at_a_high_pace(desk: Desk, tmp_path: Path) -> None:
    soaked = soak(desk, tmp_path, DAY, SMALL_PACE, limit=120.0)
    # A machine that others use as well lets bars go by.
    assert soaked.bars >= DAY // 4
    assert len(soaked.orders) >= 3
    assert soaked.p99 <= LOOSE_ORDER_MS
    # The first order loads the compiled kernels; that is start-up, as in the bench of the replay.
    assert np.percentile(soaked.worked[1:], 99) <= ORDER_MS
    assert soaked.resident.max() <= RESIDENT_MIB
    quarters = np.array_split(soaked.resident, 4)
    assert quarters[3].mean() <= (1.0 + GROWTH) * quarters[1].mean()


@pytest.mark.full
def test_a_week_a_thousand_times_faster(request: pytest.FixtureRequest, desk: Desk, tmp_path: Path) -> None:
    if not request.config.getoption("--full"):
        pytest.skip("takes ten minutes; run with --full")
    soaked = soak(desk, tmp_path, WEEK, FULL_PACE, limit=1_200.0)
    assert soaked.bars >= WEEK - DAY // 10
    assert soaked.p99 <= ORDER_MS
    assert soaked.resident.max() <= RESIDENT_MIB
    assert soaked.resident_on(len(soaked.resident) // DAY - 1) <= (1.0 + GROWTH) * soaked.resident_on(1)
