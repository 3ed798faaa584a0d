"""How this copy of the program is installed, and what its commands are called there.

In a checkout the documented scripts lie at their places (`python trading.py`); installed from
a wheel there are none, and the same commands are `novosky trade` and so on. Messages and help
name the scripts; `as_installed` turns them into what works here, at the edge, once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from novosky.errors import SettingsError, UsageError

ROOT = Path(__file__).resolve().parents[1]
"""The checkout, or the folder of installed packages."""
SCRIPTS: Mapping[str, str] = {
    "trading.py": "trade",
    "train_ml_model.py": "train",
    "backtest_config.py": "backtest",
    "scripts/compare_configs.py": "compare",
    "scripts/config_sync.py": "config-sync",
    "scripts/download_calendar.py": "calendar",
    "scripts/download_data.py": "data",
    "scripts/leakage_check.py": "leakage",
    "scripts/model_report.py": "model-report",
    "scripts/onboarding.py": "onboarding",
    "scripts/optimize_loop.py": "optimize-loop",
    "scripts/performance_monitor.py": "monitor",
    "scripts/replay_day.py": "replay-day",
    "scripts/sweep.py": "sweep",
    "scripts/walk_forward.py": "walk-forward",
    "scripts/weekly_optimize.py": "weekly-optimize",
    "ml/r2_hub.py": "hub",
    "ml/tune/hyperparams.py": "tune signal",
    "ml/tune/position.py": "tune position",
}
"""Every script of a checkout and what it is called under `novosky`."""
_CALL = re.compile(r"(?:python3? )?(" + "|".join(re.escape(script) for script in SCRIPTS) + r")(?![\w/.])")
TRAIN_PACKAGES = ("onnx", "onnxmltools", "skl2onnx")
"""Modules that write the ONNX copies of a model set; part of the extra `train`."""
SHIPPED = ("config.json", "ml_config.json")
"""The settings files that come with the program."""
_PACKED = Path(__file__).parent / "settings" / "shipped"


def is_checkout(root: Path = ROOT) -> bool:
    """Tell whether the program runs from a checkout, with its scripts beside it."""
    return (root / "pyproject.toml").is_file() and (root / "trading.py").is_file()


def installed_file() -> Path:
    """Return a file whose time is that of the last installation or update."""
    lock = ROOT / "requirements.txt"
    return lock if is_checkout() and lock.is_file() else Path(__file__)


def is_packaged() -> bool:
    """Tell whether this copy lies among installed packages, whose files are nobody's to write."""
    return bool({"site-packages", "dist-packages"} & set(ROOT.parts))


def as_installed(text: str, *, checkout: bool | None = None) -> str:
    """Return a text with the commands it names as they are called in this installation."""
    if is_checkout() if checkout is None else checkout:
        return text
    return _CALL.sub(lambda match: f"novosky {SCRIPTS[match[1]]}", text)


def extra_line(extra: str, *, checkout: bool | None = None) -> str:
    """Return the command that installs an extra of this program, e.g. `train`, in this installation."""
    if is_checkout() if checkout is None else checkout:
        return "pip install -r requirements-dev.lock"
    return f'pip install "novosky[{extra}]"'


@cache
def missing_exporters() -> tuple[str, ...]:
    """Return the modules that ONNX copies need and that are not installed."""
    return tuple(name for name in TRAIN_PACKAGES if find_spec(name) is None)


def shipped_text(name: str) -> str:
    """Return the content of a settings file as it came with the program.

    Raises
    ------
    SettingsError
        It is not part of this installation.
    """
    packed = _PACKED / name
    source = packed if packed.is_file() else ROOT / name
    try:
        text = source.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"the shipped {name} is not part of this installation; install the program anew") from error
    if source is packed:
        # The schema lies with the program; editors find it from wherever the copy is.
        schema = (Path(__file__).parent / "settings" / f"{Path(name).stem}.schema.json").as_uri()
        text = text.replace(f'"./novosky/settings/{Path(name).stem}.schema.json"', f'"{schema}"')
    return text


def provide_settings(config: Path, ml_config: Path, *, named: bool) -> tuple[Path, ...]:
    """Write the shipped settings files where there are none yet; return those written.

    Parameters
    ----------
    config, ml_config : Path
    named : bool
        Whether a person named one of the two: a file that was asked for and is not there is
        an error of the command that reads it, not a wish for another one.
    """
    from novosky.files import write_text

    if named:
        return ()
    absent = [(path, name) for path, name in zip((config, ml_config), SHIPPED, strict=True) if not path.exists()]
    if absent and (stranger := _strange_folder(config.parent)) is not None:
        raise UsageError(stranger)
    for path, name in absent:
        write_text(path, shipped_text(name))
    return tuple(path for path, _ in absent)


def _strange_folder(folder: Path) -> str | None:
    """Say why a folder is no place to work in, None where it is one."""
    place = folder.resolve()
    if "site-packages" in place.parts:
        return f"{place} belongs to the installed packages; change to a folder of your own first, e.g. mkdir bot"
    return None
