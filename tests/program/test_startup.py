"""A bot that cannot start says why in one line, ends with the code of its error, and leaves nothing half-written."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from novosky.errors import LockedError, StorageError
from tests.helpers.command_line import listing, run_script
from tests.helpers.desk import Desk
from tests.helpers.mounted import play
from tests.helpers.obstacles import OBSTACLES
from tests.helpers.sets.signal_sets import TRAIN_BARS
from trading.paper.session import single_instance


@pytest.mark.parametrize("what", OBSTACLES)
def test_what_keeps_the_bot_from_starting_is_one_message_with_its_code(desk: Desk, tmp_path: Path, what: str) -> None:
    prepare, code, message = OBSTACLES[what]
    arguments = prepare(desk, tmp_path)
    before, desk_before = listing(tmp_path), listing(desk.folder)
    answer = run_script("trading.py", *desk.flags, "--paper", "--once", *arguments, cwd=tmp_path)
    assert answer.code == code, answer.err
    assert answer.err.startswith("error: ")
    assert answer.err.count("error: ") == 1
    assert message in answer.err
    assert "Traceback" not in answer.err
    assert answer.out == ""
    left = {name: content for name, content in listing(tmp_path).items() if not name.endswith(".lock")}
    assert left == before
    assert listing(desk.folder) == desk_before
    assert not (tmp_path / "hacked").exists(), "nothing foreign is ever unpickled"


def test_a_second_bot_is_refused_and_the_first_ones_files_are_untouched(desk: Desk, tmp_path: Path) -> None:
    assert run_script("trading.py", *desk.flags, "--paper", "--once", cwd=tmp_path).code == 0
    before = listing(tmp_path)
    with single_instance(tmp_path / "logs" / "paper.sqlite"):
        for flags in ((), ("--fresh",)):
            answer = run_script("trading.py", *desk.flags, "--paper", "--once", *flags, cwd=tmp_path)
            assert answer.code == LockedError.exit_code
            assert "another bot is using" in answer.err
    assert listing(tmp_path) == before


@pytest.mark.parametrize(
    "mount",
    [
        "mount -t tmpfs -o ro tmpfs logs",
        "mount -t tmpfs -o size=64k tmpfs logs; dd if=/dev/zero of=logs/full bs=4k status=none || true",
    ],
    ids=["read-only", "full"],
)
def test_a_disk_that_cannot_be_written_stops_the_start(desk: Desk, tmp_path: Path, mount: str) -> None:
    start = [*desk.flags, "--paper", "--once"]
    before, (code, err), after = play(
        tmp_path, ("shell", f"mkdir logs; {mount}"), ("list", "logs"), ("bot", start), ("list", "logs")
    )
    assert code == StorageError.exit_code, err
    assert err.startswith("error: ")
    assert "Traceback" not in err
    assert {name for name in after if (tmp_path / "logs" / name).suffix != ".lock"} - set(before) <= {
        "paper.broker.sqlite",
        "paper.sqlite",
        "novosky.jsonl",
    }, "at most databases without content, which the next start fills, and the log"


def test_a_disk_that_fills_while_trading_ends_the_bot_and_loses_nothing(desk: Desk, tmp_path: Path) -> None:
    times = pd.read_parquet(desk.bars)["time"]
    window = [str(times.iloc[row].strftime("%Y-%m-%dT%H:%M")) for row in (TRAIN_BARS, TRAIN_BARS + 250)]
    replay = [*desk.flags, "--paper", "--replay", str(desk.bars), "--start", window[0], "--end", window[1]]
    (whole, whole_err), (cut, cut_err), (resumed, resumed_err) = play(
        tmp_path,
        ("bot", [*replay, "--journal", "whole.sqlite", "--trades", "whole.csv"]),
        ("shell", "mkdir small; mount -t tmpfs -o size=160k tmpfs small"),
        ("bot", [*replay, "--journal", "small/j.sqlite", "--trades", "cut.csv"]),
        ("shell", "mount -o remount,size=64m small"),
        ("bot", [*replay, "--journal", "small/j.sqlite", "--trades", "resumed.csv"]),
    )
    assert whole == 0, whole_err
    assert cut == StorageError.exit_code, cut_err
    assert "disk" in cut_err
    assert "Traceback" not in cut_err
    assert not (tmp_path / "cut.csv").exists()
    assert resumed == 0, resumed_err
    assert (tmp_path / "resumed.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert len((tmp_path / "whole.csv").read_text().splitlines()) > 10
