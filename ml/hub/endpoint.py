"""Which server an S3 address means, however a store's page shows it.

Dashboards show the address of a bucket, not of the store: with the bucket at its end, or in front
of the host. Requests name the bucket themselves, so it is taken off. Of a path nothing else is
kept, except one that ends in `/s3`, under which some gateways publish the API: any other would
make every request name an object instead of the bucket.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

from novosky.environment import HUB_STORE
from novosky.errors import SettingsError
from novosky.web_address import is_host_name

ENDPOINT, KEY_ID, KEY, BUCKET = (variable.name for variable in HUB_STORE)
ANY_REGION = "auto"
"""What R2 is called, and what servers take that have no regions."""
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
_VISIBLE = re.compile(r"[!-~]+")
_HOST = re.compile(r"(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?\.?)+|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")
_LOOPBACK = ("localhost", "127.0.0.1")
_STORE_HOST = re.compile(
    r"s3[.-].*|localhost|(?:.*\.)?(?:r2\.cloudflarestorage\.com|digitaloceanspaces\.com|storage\.googleapis\.com)"
)
"""Hosts of stores: a bucket before one of these is no part of the host's own name."""
_REGION = re.compile(r"s3[.-](?:dualstack\.)?(?P<region>[a-z]{2}[a-z0-9]*(?:-[a-z0-9]+)+)\..+")
_AMAZON = re.compile(r"s3(?:\.dualstack)?\.amazonaws\.com(?:\.cn)?")
_SHAPE = "write https://HOST as the store shows it, the bucket's name belongs to R2_BUCKET"


@dataclass(frozen=True)
class Endpoint:
    """The address that requests go to.

    Attributes
    ----------
    url : str
        Scheme, host, port and, of a gateway, its path.
    region : str
        What signatures name: the host's own region where it says one, else `ANY_REGION`.
    """

    url: str
    region: str


def endpoint_of(address: str, bucket: str) -> Endpoint:
    """Return the server of an address; no message repeats it, since it holds an account's number.

    Parameters
    ----------
    address : str
        R2_ENDPOINT_URL as it stands.
    bucket : str
        R2_BUCKET.

    Raises
    ------
    SettingsError
        It is no address, or leads elsewhere than to a store.
    """
    text = address.strip().strip("'\"")
    if "://" not in text:
        host = re.split(r"[:/]", text, maxsplit=1)[0]
        if "." not in host and host not in _LOOPBACK:
            raise SettingsError(f"{ENDPOINT} is no address; {_SHAPE}")
        text = f"{'http' if host in _LOOPBACK else 'https'}://{text}"
    parts = _split(text)
    if parts.scheme.lower() not in ("http", "https"):
        raise SettingsError(f"{ENDPOINT} is no address of a web server; {_SHAPE}")
    if "@" in parts.netloc:
        raise SettingsError(f"{ENDPOINT} holds a name or password; put them into {KEY_ID} and {KEY}")
    if parts.query or parts.fragment:
        raise SettingsError(f"{ENDPOINT} holds more than an address (from its ? or # on); {_SHAPE}")
    host = (parts.hostname or "").lower()
    before = f"{bucket.lower()}."
    if host.startswith(before) and _STORE_HOST.fullmatch(host.removeprefix(before)):
        host = host.removeprefix(before)
    shown = f"[{host}]" if ":" in host else host
    port = f":{parts.port}" if parts.port is not None else ""
    return Endpoint(f"{parts.scheme.lower()}://{shown}{port}{_path(parts.path, bucket)}", _region(host))


def check_credentials(bucket: str, key_id: str, key: str) -> None:
    """Refuse what cannot be the name of a bucket or a key; the keys are never shown.

    Raises
    ------
    SettingsError
    """
    if not _BUCKET.fullmatch(bucket):
        raise SettingsError(
            f"{BUCKET} is no name of a bucket: letters, digits, dots and hyphens, without an address or a folder"
        )
    for name, value in ((KEY_ID, key_id), (KEY, key)):
        if not _VISIBLE.fullmatch(value):
            raise SettingsError(f"{name} holds a character that no key has; copy it anew from the store's page")


def _split(text: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        # Reading the port checks it.
        _ = parts.port
    except ValueError:
        raise SettingsError(f"{ENDPOINT} is no address: its host or port cannot be read; {_SHAPE}") from None
    if parts.scheme.lower() in ("http", "https") and not _is_host(parts.hostname or ""):
        raise SettingsError(f"{ENDPOINT} is no address: it names no host; {_SHAPE}")
    return parts


def _is_host(host: str) -> bool:
    return _HOST.fullmatch(host) is not None and is_host_name(host)


def _path(path: str, bucket: str) -> str:
    """Return what of a path belongs to the server."""
    steps = [step for step in unquote(path).split("/") if step]
    if steps and steps[-1] == bucket:
        steps = steps[:-1]
    if steps and steps[-1].lower() != "s3":
        raise SettingsError(
            f"{ENDPOINT} goes on after the host with something else than the bucket that {BUCKET} names; {_SHAPE}"
        )
    return "".join(f"/{step}" for step in steps)


def _region(host: str) -> str:
    if match := _REGION.fullmatch(host):
        return match["region"]
    return "us-east-1" if _AMAZON.fullmatch(host) else ANY_REGION
