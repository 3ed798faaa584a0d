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

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
