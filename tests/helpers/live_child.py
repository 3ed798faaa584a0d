"""The live bot over a scenario as a program of its own, to be killed at any moment.

Arguments: a folder and the number of bars. The journal's database is named by NOVOSKY_DATABASE_URL.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from novosky.database.place import journal_url  # noqa: E402
from tests.helpers.live_runs import LiveDesk  # noqa: E402
from tests.helpers.paper_runs import Scenario, planted_bars  # noqa: E402

if __name__ == "__main__":
    desk = LiveDesk(Scenario(planted_bars(int(sys.argv[2]))), Path(sys.argv[1]))
    desk.run(database=journal_url(os.environ["NOVOSKY_DATABASE_URL"]))
