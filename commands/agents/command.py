"""The steps of `scripts/run_agent.sh` that read and judge: `python -m commands.agents.command --help`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from commands.main import run
from commands.shared.options import FILE

OUT_OF_SCOPE = 77


@click.group()
def scope_lock() -> None:
    """Fence a delegated task in: prepare its lock before, verify what it changed after."""


@scope_lock.command()
@click.option("--agent", required=True)
@click.option("--task", required=True)
@click.option("--brief", type=FILE, required=True, help="The agent's brief.")
@click.option("--lock", "lock_file", type=FILE, required=True, help="Where a lock of the task stands, or is written.")
@click.option("--state", type=FILE, required=True, help="Where lock and checkout as they are now are kept.")
def prepare(agent: str, task: str, brief: Path, lock_file: Path, state: Path) -> None:
    """Write the task's lock, remember the checkout, and print tier and minutes."""
    from dataclasses import asdict

    from commands.agents.scope_lock import lock_for, take_snapshot
    from novosky.files import write_json

    lock = lock_for(lock_file, brief, agent, task).model_dump(mode="json")
    write_json(lock_file, lock)
    write_json(state, {"lock": lock, "before": asdict(take_snapshot(Path.cwd()))})
    click.echo(f"{lock['tier']} {lock['limits']['minutes']}")


@scope_lock.command()
@click.option("--state", type=FILE, required=True, help="As `prepare` left it.")
def verify(state: Path) -> None:
    """Name the files that were changed outside the lock and exit 77 when there are any."""
    from commands.agents.scope_lock import (
        LOCK_FILE,
        LOCK_WRITER,
        Snapshot,
        changed_files,
        outside,
        parse_lock,
        take_snapshot,
    )
    from novosky.guarded_json import read_json_file

    content = read_json_file(state)
    lock = parse_lock(json.dumps(content["lock"]), str(state))
    root = Path.cwd()
    changed = changed_files(root, Snapshot(**content["before"]), take_snapshot(root))
    writer = lock.agent == LOCK_WRITER
    beyond = outside(lock, changed, may_write_lock=writer)
    for path in changed:
        click.echo(f"{'OUTSIDE' if path in beyond else 'changed'}  {path}")
    if beyond:
        click.echo(
            f"{len(beyond)} file(s) outside the scope lock were changed; look at them and take them back", err=True
        )
        sys.exit(OUT_OF_SCOPE)
    if writer and LOCK_FILE in changed:
        # What was written for somebody else's task must hold before they begin.
        parse_lock(Path(LOCK_FILE).read_text(encoding="utf-8-sig"), LOCK_FILE)


if __name__ == "__main__":
    run(scope_lock)
