"""Checks of what is kept secret. No text of a finding holds any part of a secret."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from alerts.telegram.destination import read_destinations
from ml.hub.endpoint import check_credentials, endpoint_of
from novosky.environment import DATABASE, HUB_FOLDER, HUB_STORE, TELEGRAM
from novosky.errors import SettingsError
from novosky.guarded_json import parse_json
from trading.doctor.finding import Finding, fail, ok, warn

ONLINE_SECONDS = 10.0
LARGEST_ANSWER = 1024 * 1024
CHATS_MEND = "write whole numbers and commas, e.g. 1111,-100123/45 for topic 45 of a group; the log names a chat's id"
PUBLIC_TELEGRAM = "https://api.telegram.org"


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


def check_telegram(environment: Mapping[str, str]) -> Finding:
    """Look at the token and the chats, without the network."""
    token_name, chats_name = (variable.name for variable in TELEGRAM)
    token, chats = environment.get(token_name, "").strip(), environment.get(chats_name, "").strip()
    if not token and not chats:
        return warn("telegram", "not set: nobody is told of trades and halts", f"set {token_name} and {chats_name}")
    if not token or not chats:
        missing = chats_name if token else token_name
        return fail("telegram", f"{missing} is not set", f"set both {token_name} and {chats_name}, or neither")
    if re.fullmatch(r"\d+:[\w-]+", token) is None:
        return fail("telegram", f"{token_name} is no bot token", "copy it from @BotFather anew")
    try:
        places = read_destinations(chats)
    except ValueError:
        return fail("telegram", f"{chats_name} holds something that is no chat id", CHATS_MEND)
    return ok("telegram", f"token and {len(places)} chat(s) set")


def check_telegram_online(environment: Mapping[str, str]) -> Finding:
    """Ask Telegram whether it knows the token."""
    import httpx

    token = environment[TELEGRAM[0].name].strip()
    base = environment.get("TELEGRAM_API_URL", PUBLIC_TELEGRAM).rstrip("/")
    try:
        answer = httpx.get(f"{base}/bot{token}/getMe", timeout=ONLINE_SECONDS)
        content = parse_json(answer.content, "the answer", max_bytes=LARGEST_ANSWER, mend_text=True)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        # The error's own text would show the address, and with it the token.
        return warn("telegram online", f"no proper answer ({type(error).__name__})", "check the network")
    if not isinstance(content, dict) or content.get("ok") is not True:
        return fail("telegram online", f"refused with {answer.status_code}", "get a new token from @BotFather")
    return ok("telegram online", "the token is valid")


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
