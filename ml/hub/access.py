"""Where the hub is and which keys are trusted: from the environment, `.env`, and `hub.pub` in the checkout."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from pydantic import SecretStr

from ml.hub.endpoint import check_credentials, endpoint_of
from ml.hub.folder import FolderStore
from ml.hub.s3 import S3Place, S3Store
from ml.hub.signing import PRIVATE_NAME, PUBLIC_NAME, PublicKey, Signer, parse_private_key, parse_public_keys
from ml.hub.store import Store
from novosky.environment import HUB_FOLDER, HUB_PRIVATE_KEY, HUB_PUBLIC_KEY, HUB_STORE
from novosky.errors import SettingsError, UsageError

EMBEDDED = Path("hub")
"""The folder that is the hub where nothing else is configured."""
S3 = "s3"
"""Says that the bucket of the R2 settings is meant, whatever NOVOSKY_HUB names."""


def open_store(environment: Mapping[str, str], hub: str | None = None, *, create: bool = False) -> Store:
    """Return the store that an address names, or NOVOSKY_HUB, or the R2 settings, or the embedded folder.

    Parameters
    ----------
    environment : mapping
        From `novosky.environment.read_environment`.
    hub : str, optional
        `file:///folder`, a folder, or `s3`.
    create : bool
        Whether a folder may be made, as for a first push.

    Raises
    ------
    UsageError
        An address of another kind.
    SettingsError
        R2 settings that are not complete, or cannot be meant.
    """
    named = hub or environment.get(HUB_FOLDER.name)
    stated = [variable.name for variable in HUB_STORE if variable.name in environment]
    if named == S3 or (named is None and stated):
        missing = [variable.name for variable in HUB_STORE if variable.name not in environment]
        if missing:
            raise SettingsError(f"not set: {', '.join(missing)}; the S3 store needs them in the environment or .env")
        endpoint, key_id, key, bucket = (environment[variable.name].strip() for variable in HUB_STORE)
        check_credentials(bucket, key_id, key)
        at = endpoint_of(endpoint, bucket)
        return S3Store(S3Place(SecretStr(at.url), bucket, SecretStr(key_id), SecretStr(key), at.region))
    return FolderStore(EMBEDDED if named is None else _folder(named), create=create)


def trusted_keys(environment: Mapping[str, str], folder: Path = Path()) -> tuple[PublicKey, ...]:
    """Return the public keys whose revisions are trusted.

    Raises
    ------
    SettingsError
        None is known, or one is no key.
    """
    stated = environment.get(HUB_PUBLIC_KEY.name)
    if stated is not None:
        return parse_public_keys(stated, HUB_PUBLIC_KEY.name)
    path = folder / PUBLIC_NAME
    try:
        return parse_public_keys(path.read_text(encoding="utf-8-sig"), str(path))
    except FileNotFoundError as error:
        raise SettingsError(
            f"no public key is known, so no revision can be trusted: get {PUBLIC_NAME} from the publisher, or set "
            f"{HUB_PUBLIC_KEY.name}; a publisher makes one with `python ml/r2_hub.py --keygen`"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read; mend it or its permissions") from error


def signer(environment: Mapping[str, str], folder: Path = Path()) -> Signer:
    """Return the key to sign with: as the environment says, or the file that --keygen wrote into this folder.

    Raises
    ------
    SettingsError
        There is none, or it is no key.
    """
    stated = environment.get(HUB_PRIVATE_KEY.name)
    if stated is None and (folder / PRIVATE_NAME).is_file():
        stated = str(folder / PRIVATE_NAME)
    if stated is None:
        raise SettingsError(
            f"{HUB_PRIVATE_KEY.name} is not set and there is no {PRIVATE_NAME} here, so nothing can be signed: make a "
            "key pair with `python ml/r2_hub.py --keygen`, or set it to the key or the key's file"
        )
    return parse_private_key(SecretStr(stated))


def _folder(address: str) -> Path:
    if address.startswith("file://"):
        parts = urlsplit(address)
        if parts.netloc not in ("", "localhost"):
            raise UsageError(f"{address} names another machine; a folder's address is like file:///srv/hub")
        return Path(url2pathname(unquote(parts.path)))
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", address):
        # Not repeated: it may hold a password.
        raise UsageError("a hub is a folder, file:///folder, or s3 with the R2_ settings; this is another address")
    return Path(address)
