"""What the figures were measured on: enough to compare them, nothing that names the machine."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path

from bench.measure import Scalar

LIBRARIES = (
    "numpy", "pandas", "numba", "llvmlite", "pyarrow", "scikit-learn", "xgboost", "lightgbm", "onnxruntime",
    "TA-Lib", "SQLAlchemy", "pydantic", "click",
)  # fmt: skip


def machine_facts() -> dict[str, Scalar]:
    """Return processor, cores, memory, system and the load before the first measure."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": _memory_gib(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load": load(),
    }


def load() -> float | None:
    """Return the one-minute load average, None where the system has none (Windows)."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def library_versions() -> dict[str, str]:
    """Return the versions of the libraries the figures depend on; those not installed are left out."""
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def resident_mib() -> tuple[float, float] | None:
    """Return this process's resident memory now and at its highest in MiB, None where it is unknown.

    From Linux's own status file: `ru_maxrss` is inherited from the parent over fork and exec,
    so that a small child of a large program would report the large one.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    fields = dict(line.split(":", 1) for line in status.read_text(encoding="ascii").splitlines() if ":" in line)
    now, highest = (int(fields[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))
    return now, highest


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"


def _memory_gib() -> float | None:
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return None
    return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)
