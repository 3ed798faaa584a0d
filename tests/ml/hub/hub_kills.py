"""Kill a deployment before each of its file operations, and its recovery before each of its own.

A process of its own, which forks one child per death. The operations are counted by the
interpreter's audit events, so the code under test knows nothing of being killed. Prints one
JSON object: how often it was killed and in which state the recovered checkouts were.

    python tests/ml/hub/hub_kills.py FOLDER deploy|rollback|first|models exchange|renames
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ml.sets.deployment import Deployment, recover, replace_deployment, rollback
from ml.sets.swap_journal import swap_pending
from novosky.files import write_text
from tests.ml.hub.hub_checkouts import content_of, deploy, deployment_in, lay_out, leftovers, whole, write_models

CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.chmod", "os.truncate", "os.utime"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
MOST_STEPS = 400


def is_change(event: str, arguments: tuple[Any, ...]) -> bool:
    if event == "open":
        return bool(arguments[2] & WRITING)
    return event in CHANGES or (event == "ctypes.dlsym" and arguments[1] == "renameat2")


def killed_before(step: int, act: Callable[[], None]) -> bool:
    """Run `act` in a child that dies before its `step`-th change of the disk; False when it got to its end."""
    child = os.fork()
    if child == 0:
        left = step

        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal left
            if is_change(event, arguments):
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        try:
            act()
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
            os._exit(3)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return True
    assert os.WEXITSTATUS(status) == 0, f"the child failed at step {step}"
    return False


def lay_out_template(folder: Path, action: str) -> None:
    if action == "first":
        # A trader's fresh checkout: settings, an empty model directory.
        target = deployment_in(folder)
        target.models.mkdir()
        write_text(target.config, '{"version": "old"}')
        write_text(target.ml_config, '{"ml": "old"}')
    else:
        deploy(lay_out(folder, "older"), "old")


def prepared(folder: Path, action: str) -> tuple[Deployment, Callable[[], None], dict[str, dict[str, bytes]]]:
    """Return a fresh deployment, what is done to it, and its content before and after."""
    template = folder.with_name(f"{folder.name}-{action}")
    if not template.exists():
        template.mkdir(parents=True)
        lay_out_template(template, action)
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(template, folder)
    target = deployment_in(folder)
    if action == "first":
        after = {name: content for name, content in whole("new").items() if name != "optimize_log.json"}
        return target, lambda: deploy(target, "new"), {"old": content_of(target), "new": after}
    if action == "deploy":
        return target, lambda: deploy(target, "new"), {"old": whole("old"), "new": whole("new")}
    if action == "models":
        # Only the models change, as in a retraining that keeps its settings.
        def retrain() -> None:
            with replace_deployment(target) as incoming:
                write_models(incoming.models, "new")

        mixed = whole("new") | {name: whole("old")[name] for name in ("config", "ml_config")}
        return target, retrain, {"old": whole("old"), "new": mixed}
    return target, lambda: rollback(target), {"old": whole("old"), "new": whole("older")}


def state_of(target: Deployment, states: dict[str, dict[str, bytes]]) -> str:
    found = content_of(target)
    return next((name for name, content in states.items() if content == found), f"MIXED {sorted(found)}")


def campaign(folder: Path, action: str) -> dict[str, Any]:
    states, deaths, recoveries, recovery_deaths = [], 0, Counter[str](), 0
    for step in range(1, MOST_STEPS):
        target, act, expected = prepared(folder, action)
        if not killed_before(step, act):
            break
        deaths += 1
        again = 1
        # Recovery dies before each of its own steps, one after the other, until it gets through.
        while swap_pending(target.models) and killed_before(again, lambda at=target: recover(at)):  # type: ignore[misc]
            recovery_deaths += 1
            again += 1
        recover(target)
        states.append(state_of(target, expected))
        recoveries[states[-1]] += 1
        deploy(target, "last")
        rest = leftovers(target)
        assert not rest, f"left behind after step {step}: {rest}"
        shown = {name: content for name, content in content_of(target).items() if name != "optimize_log.json"}
        assert shown == {name: content for name, content in whole("last").items() if name != "optimize_log.json"}
    else:
        raise AssertionError("it never ends")
    return {"deaths": deaths, "recovery_deaths": recovery_deaths, "states": states}


def main() -> None:
    folder, action, way = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    if way == "renames":
        # A system that cannot exchange two directories in one step.
        sys.platform = "freebsd"
    # Everything is imported and compiled before operations are counted.
    _, act, _ = prepared(folder, action)
    act()
    print(json.dumps(campaign(folder, action)))


if __name__ == "__main__":
    main()
