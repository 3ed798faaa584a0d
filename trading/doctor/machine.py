"""Checks of the machine: interpreter, packages, folders, clock."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from trading.doctor.finding import Finding, fail, ok, warn

LEAST_PYTHON = (3, 11)
LOW_BYTES, SCARCE_BYTES = 100 * 2**20, 2**30
"""Free bytes below which the journal is in danger, and below which a retrained set may not fit."""
ZONES = ("America/New_York", "Europe/London", "Asia/Tokyo")
"""The server's clock and the sessions are defined in these."""
_PIN = re.compile(r"([A-Za-z0-9._-]+)==([^\s;]+)\s*(?:;\s*(.*))?")


def check_python(version: tuple[int, ...]) -> Finding:
    """Compare the interpreter to the oldest supported one."""
    text = ".".join(map(str, version[:3]))
    if version[:2] < LEAST_PYTHON:
        least = ".".join(map(str, LEAST_PYTHON))
        return fail("python", f"{text} is too old", f"install Python {least} or newer and set the environment up anew")
    return ok("python", text)


def check_packages(lock: Path, installed: Callable[[str], str | None]) -> Finding:
    """Compare the installed packages to the lock file.

    Parameters
    ----------
    lock : Path
        requirements.txt.
    installed : callable
        Returns the version of a distribution, None when it is not installed.
    """
    mend = f"run `pip install -r {lock.name}`"
    try:
        pins = _pins(lock.read_text(encoding="utf-8"))
    except OSError as error:
        return warn("packages", f"{lock} cannot be read ({error.strerror})", "run the checkout's own copy")
    found = {name: installed(name) for name in pins}
    missing = [name for name, version in found.items() if version is None]
    if missing:
        return fail("packages", f"not installed: {', '.join(missing)}", mend)
    other = [f"{name} {found[name]} instead of {pin}" for name, pin in pins.items() if found[name] != pin]
    if other:
        return warn("packages", f"other versions than locked: {', '.join(other)}", mend)
    return ok("packages", f"all {len(pins)} at their locked versions")


def check_requirements(requirements: Sequence[str], installed: Callable[[str], str | None]) -> Finding:
    """Compare the installed packages to what an installed wheel asks for, where there is no lock file.

    Parameters
    ----------
    requirements : sequence of str
        As in the metadata of the distribution, e.g. `numpy>=1.26; python_version >= "3.11"`.
    installed : callable
        As in `check_packages`.
    """
    from packaging.requirements import Requirement

    needed = [
        need for need in map(Requirement, requirements) if need.marker is None or need.marker.evaluate({"extra": ""})
    ]
    found = {need: installed(need.name) for need in needed}
    wrong = [
        f"{need.name} {version or 'is not installed'}, needed {need.specifier}"
        for need, version in found.items()
        if version is None or not need.specifier.contains(version, prereleases=True)
    ]
    if wrong:
        return fail(
            "packages", "; ".join(wrong), "install the wheel of this program anew, with pip and its dependencies"
        )
    return ok("packages", f"all {len(needed)} that this program asks for")


def _pins(text: str) -> dict[str, str]:
    """Return the pinned versions that apply to this interpreter and system."""
    from packaging.markers import Marker

    pins: dict[str, str] = {}
    for line in text.splitlines():
        match = _PIN.fullmatch(line.strip())
        if match is not None and (match[3] is None or Marker(match[3]).evaluate()):
            pins[match[1]] = match[2]
    return pins


def check_compiled_cache(folder: Path | None) -> Finding:
    """Tell whether compiled rules survive the process; without that every start takes a minute longer."""
    if folder is None:
        mend = "make ~/.cache writable, or point NUMBA_CACHE_DIR to a folder that is"
        return warn("compiled cache", "no writable folder: every start compiles all rules anew", mend)
    return ok("compiled cache", str(folder))


def check_folder(name: str, folder: Path) -> Finding:
    """Write, sync and remove a file where the programs will, and look at the space left."""
    place = _nearest(folder)
    try:
        if not place.is_dir():
            return fail(name, f"{place} is not a folder", "move that file away")
        with tempfile.TemporaryFile(dir=place) as stream:
            stream.write(b"0" * 4096)
            stream.flush()
        free = shutil.disk_usage(place).free
    except OSError as error:
        return fail(name, f"{folder} is not writable ({error.strerror})", "mend the permissions or free disk space")
    text = f"{folder} writable, {free / 2**30:.1f} GiB free"
    if free < LOW_BYTES:
        return fail(name, text, "free disk space: the journal cannot grow, and the bot stops with it")
    if free < SCARCE_BYTES:
        return warn(name, text, "free disk space")
    return ok(name, text)


def _nearest(folder: Path) -> Path:
    """Return the folder, or the one in which it would be created."""
    place = folder.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    return place


def check_time_zones(zones: Sequence[str] = ZONES) -> Finding:
    """Look every time zone up that the sessions and the server's clock are defined in."""
    missing = []
    for name in zones:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            missing.append(name)
    if missing:
        return fail("time zones", f"not in the database: {', '.join(missing)}", "run `pip install tzdata`")
    return ok("time zones", "database present")


def check_system_clock(now: float, witnesses: Mapping[str, float]) -> Finding:
    """Compare the clock to moments that certainly lie in the past.

    Parameters
    ----------
    now : float
        UTC epoch seconds of this machine.
    witnesses : mapping of str to float
        What happened, and when, UTC epoch seconds.
    """
    text = f"{datetime.fromtimestamp(now, UTC):%Y-%m-%d %H:%M:%S} UTC"
    # A minute for the drift between machines.
    early = [name for name, moment in witnesses.items() if now < moment - 60.0]
    if early:
        mend = "set the clock and switch network time on (timedatectl set-ntp true)"
        return fail("system clock", f"{text} lies before {', '.join(early)}", mend)
    return ok("system clock", text)
