"""Ed25519 keys, and manifests in signed envelopes.

Keys are written as base64 of their 32 raw bytes. `hub.pub` may hold several public keys, one
per line, `#` before a comment: so a new key can be told to traders before the old one goes.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import SecretStr

from ml.hub.curve import is_sound_point
from novosky.environment import create_private
from novosky.errors import ModelError, SettingsError, StorageError, UsageError
from novosky.files import write_text
from novosky.guarded_json import parse_json
from novosky.persistence import remove_file

PUBLIC_NAME = "hub.pub"
PRIVATE_NAME = "hub.key"
_FORMAT = 1
# A signature over a manifest can never be taken for one over anything else.
_PURPOSE = b"novosky hub revision 1\n"
_KEY_BYTES = 32


@dataclass(frozen=True)
class PublicKey:
    """Who may publish. `name` is the beginning of the key's hash, to tell keys apart."""

    name: str
    key: Ed25519PublicKey


@dataclass(frozen=True)
class Signer:
    """A private key; printing it shows no secret."""

    name: str
    key: Ed25519PrivateKey


def parse_public_keys(text: str, source: str) -> tuple[PublicKey, ...]:
    """Read public keys, one per line.

    Raises
    ------
    SettingsError
        None there, something that is no key, or a key under which anybody can sign.
    """
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    raws = [_raw(line, source) for line in lines if line]
    if not raws:
        raise SettingsError(f"{source} holds no public key; copy the line that `--keygen` printed")
    if not all(map(is_sound_point, raws)):
        raise SettingsError(
            f"{source} holds a key that no generator makes and under which anybody can sign; get the publisher's "
            "hub.pub anew, from the publisher"
        )
    return tuple(map(_public, raws))


def parse_private_key(secret: SecretStr) -> Signer:
    """Read a private key, or the file that holds it.

    Raises
    ------
    SettingsError
        Neither; the message shows nothing of it.
    """
    source, text = "NOVOSKY_HUB_PRIVATE_KEY", secret.get_secret_value().strip()
    path = Path(text)
    if len(text) < 4096 and "\n" not in text and path.is_file():
        source = PRIVATE_NAME if path.name == PRIVATE_NAME else "the file in NOVOSKY_HUB_PRIVATE_KEY"
        try:
            text = path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            raise SettingsError(f"{source} cannot be read; mend its permissions") from None
    return _signer(Ed25519PrivateKey.from_private_bytes(_raw(text, source)))


def create_keys(folder: Path) -> PublicKey:
    """Write a new pair, `hub.key` for its owner alone and `hub.pub` for everybody; neither is ever written over.

    Raises
    ------
    UsageError
        One of them is there already.
    StorageError
        They cannot be written; nothing is left behind.
    """
    private, public = folder / PRIVATE_NAME, folder / PUBLIC_NAME
    taken = [str(path) for path in (private, public) if path.exists()]
    if taken:
        raise UsageError(
            f"{' and '.join(taken)}: already there and not written over; a new key makes every trader's hub.pub "
            "useless, so move the old files away first if you mean it"
        )
    key = Ed25519PrivateKey.generate()
    if not create_private(private, _text(key.private_bytes_raw()) + "\n"):
        raise UsageError(f"{private} appeared meanwhile and was not written over")
    try:
        write_text(public, _text(key.public_key().public_bytes_raw()) + "\n")
    except StorageError:
        remove_file(private)
        raise
    return _public(key.public_key().public_bytes_raw())


def public_text(key: PublicKey) -> str:
    """Return a public key as `hub.pub` holds it."""
    return _text(key.key.public_bytes_raw())


def public_of(signer: Signer) -> PublicKey:
    """Return the public half of a private key."""
    return PublicKey(signer.name, signer.key.public_key())


def seal(text: str, signer: Signer) -> bytes:
    """Return a manifest in its signed envelope."""
    signature = signer.key.sign(_PURPOSE + text.encode("utf-8"))
    envelope = {"format": _FORMAT, "key": signer.name, "manifest": text, "signature": _text(signature)}
    return (json.dumps(envelope, indent=2) + "\n").encode("utf-8")


def unseal(envelope: bytes, keys: Sequence[PublicKey], source: str) -> str:
    """Return the manifest of an envelope that one of the keys has signed.

    Raises
    ------
    ModelError
        Unsigned, signed by another key, changed since, or no envelope at all.
    """
    try:
        content: Any = parse_json(envelope, "envelope")
        if not isinstance(content, dict) or content.get("format") != _FORMAT:
            raise ValueError("another format")
        text, name, signature = content["manifest"], content["key"], content["signature"]
        if not all(isinstance(part, str) for part in (text, name, signature)):
            raise ValueError("not text")
        signed, mark = _PURPOSE + text.encode("utf-8"), base64.b64decode(signature, validate=True)
    except (ValueError, KeyError) as error:
        raise ModelError(f"{source} is not a signed manifest ({type(error).__name__}); it was not used") from error
    for key in keys if is_sound_point(mark[:_KEY_BYTES]) else ():
        try:
            key.key.verify(mark, signed)
        except InvalidSignature:
            continue
        return str(text)
    known = ", ".join(key.name for key in keys)
    raise ModelError(
        f"{source} is not signed by a key that is trusted here (trusted: {known}); it was not used. If the publisher "
        f"has a new key, get it from them and put it into {PUBLIC_NAME}."
    )


def manifest_of(envelope: bytes, source: str) -> str:
    """Return the manifest of an envelope that was checked before it was stored here; its signature is not looked at."""
    try:
        return str(parse_json(envelope, source)["manifest"])
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{source} cannot be read; pull a revision by name with `python ml/r2_hub.py --pull --revision TAG`"
        ) from error


def _raw(text: str, source: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != _KEY_BYTES:
        raise SettingsError(f"{source} is no key: 32 bytes in base64, as `--keygen` makes them, or a file with them")
    return raw


def _public(raw: bytes) -> PublicKey:
    return PublicKey(hashlib.sha256(raw).hexdigest()[:16], Ed25519PublicKey.from_public_bytes(raw))


def _signer(key: Ed25519PrivateKey) -> Signer:
    return Signer(_public(key.public_key().public_bytes_raw()).name, key)


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")
