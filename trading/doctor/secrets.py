"""Checks of what is kept secret. No text of a finding holds any part of a secret."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from alerts.failures import FAILURES, AccessRefusedError, PlaceClosedError
from alerts.family import channel_kinds, how_to_configure
from alerts.port import Access
from ml.hub.endpoint import check_credentials, endpoint_of
from novosky.environment import DATABASE, HUB_FOLDER, HUB_STORE
from novosky.errors import SettingsError
from trading.doctor.finding import Finding, fail, ok, warn


def check_env_file(path: Path) -> Finding:
    """Tell whether others on this machine can read the secrets."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        return ok("secrets file", f"no {path}; secrets come from the environment alone")
    except OSError as error:
        return fail("secrets file", f"{path} cannot be looked at ({error.strerror})", "mend its permissions")
    # Windows keeps permissions elsewhere; the bits there mean nothing.
    if os.name != "nt" and mode & 0o077:
        return fail("secrets file", f"{path} has mode {mode:04o}: others can read it", f"chmod 600 {path}")
    return ok("secrets file", f"{path}, readable by its owner alone")


def check_channels(environment: Mapping[str, str], *, online: bool) -> list[Finding]:
    """Look at every alert channel that is set up, wholly or in part; with `online` each host is asked, too."""
    findings = []
    for name, kind in channel_kinds().items():
        try:
            access = kind.configured(environment)
        except SettingsError as error:
            problem, _, mend = str(error).rpartition("; ")
            findings.append(fail(name, problem or mend, mend))
            continue
        if access is None:
            continue
        findings.append(ok(name, f"set up; messages go to {access.reach}"))
        if online:
            findings.append(_probed(access))
    if not findings:
        text = "no channel is set up: nobody is told of trades and halts"
        findings.append(warn("alerts", text, f"set {how_to_configure()}"))
    return findings


def _probed(access: Access) -> Finding:
    name = f"{access.name} online"
    try:
        return ok(name, access.probe())
    except (AccessRefusedError, PlaceClosedError) as error:
        problem, _, mend = str(error).rpartition("; ")
        return fail(name, problem or mend, mend)
    except FAILURES as error:
        return warn(name, str(error), "check the network")


def check_hub(environment: Mapping[str, str]) -> Finding:
    """Look at where models are to be pulled from."""
    folder = environment.get(HUB_FOLDER.name)
    if folder is not None:
        return _check_hub_folder(folder)
    missing = [variable.name for variable in HUB_STORE if variable.name not in environment]
    if len(missing) == len(HUB_STORE):
        mend = f"set {HUB_FOLDER.name}, or {HUB_STORE[0].name} and its companions"
        return warn("models hub", "not set: models cannot be pulled", mend)
    if missing:
        return fail("models hub", f"not set: {', '.join(missing)}", "set them, or remove the others")
    endpoint, key_id, key, bucket = (environment[variable.name].strip() for variable in HUB_STORE)
    try:
        check_credentials(bucket, key_id, key)
        endpoint_of(endpoint, bucket)
    except SettingsError as error:
        problem, _, mend = str(error).rpartition("; ")
        return fail("models hub", problem or mend, mend)
    return ok("models hub", "S3 store, all settings present")


def _check_hub_folder(text: str) -> Finding:
    place = Path(url2pathname(unquote(urlsplit(text).path)) if text.startswith("file://") else text)
    if not place.is_dir() or not os.access(place, os.R_OK | os.X_OK):
        return fail("models hub", f"{place} is no readable folder", f"correct {HUB_FOLDER.name} or mount it")
    return ok("models hub", f"folder {place}")


def check_database(environment: Mapping[str, str]) -> list[Finding]:
    """Tell that the journal lies in a database server, where it does."""
    if DATABASE.name not in environment:
        return []
    return [ok("database", f"{DATABASE.name} is set: the bot's journal lies there, not in logs/")]
