"""A program that has everything loaded and forks a campaign for every line it reads, to be killed at any moment.

A line on standard input is a JSON list: the folder, the number of bars, and a seed. The
answer is one line with the process id; once that process has ended, another with what
`waitpid` says of it.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))


def live(folder: Path, bars: int, seed: int) -> int:
    """Live through what is left of the market; 0 when its end was reached."""
    from tests.campaigns.stage import Rates, World, campaign_scenario

    try:
        world = World(campaign_scenario(bars), folder, Rates(), seed)
        world.run()
        world.close()
    except BaseException:
        os.write(2, traceback.format_exc().encode())
        return 1
    return 0


def serve() -> None:
    """Fork a campaign for every line."""
    with tempfile.TemporaryDirectory() as folder:
        live(Path(folder), 40, 0)
    for line in sys.stdin:
        folder, bars, seed = json.loads(line)
        child = os.fork()
        if child == 0:
            os._exit(live(Path(folder), bars, seed))
        print(child, flush=True)
        print(os.waitpid(child, 0)[1], flush=True)


if __name__ == "__main__":
    serve()
