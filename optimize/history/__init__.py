"""What optimisation runs leave behind: a table for people, JSON files for programs.

| file | what | writer |
|---|---|---|
| `PERF_HISTORY.md` | one row per run, oldest first | `append_perf_history` |
| `strategy_params.json` | the parameters now in force, since when and on what evidence | `write_strategy_params` |
| `models/optimize_log.json` | every iteration, kept or not | `append_optimize_log` |
| `models/optimize_best.json` | the best score so far and the settings that earned it | `update_optimize_best` |

All are written atomically. Reading, changing and writing is not locked here: the commands that
call these hold the lock of the optimisation.
"""

from optimize.history.evidence import Decision, Evidence
from optimize.history.optimize_best import BestRun, update_optimize_best
from optimize.history.optimize_log import OptimizeEntry, append_optimize_log, improvement_pct
from optimize.history.perf_history import PerfRow, append_perf_history
from optimize.history.strategy_params import (
    PARAMS_NAME,
    ApprovedExpectancy,
    StrategyParams,
    approved_expectancy,
    parameters_in_force,
    write_strategy_params,
)

__all__ = [
    "PARAMS_NAME",
    "ApprovedExpectancy",
    "BestRun",
    "Decision",
    "Evidence",
    "OptimizeEntry",
    "PerfRow",
    "StrategyParams",
    "append_optimize_log",
    "append_perf_history",
    "approved_expectancy",
    "improvement_pct",
    "parameters_in_force",
    "update_optimize_best",
    "write_strategy_params",
]
