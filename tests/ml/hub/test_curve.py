"""Which public keys are trusted: no point of small order, no second way of writing one."""

from __future__ import annotations

import base64
import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ml.hub.curve import PRIME, is_sound_point
from ml.hub.signing import PublicKey, parse_public_keys, public_of, seal, unseal
from novosky.errors import ModelError, SettingsError
from tests.ml.hub.hub_sets import new_signer

# The points of order 1, 2, 4 and 8 and the other ways of writing them, as listed by libsodium and in
# "Taming the many EdDSAs" (Chalkias, Garillot, Nikolaenko, 2020, table 1).
SMALL_ORDER = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
]


def encoded(number: int) -> bytes:
    return number.to_bytes(32, "little")


def test_every_key_that_a_generator_makes_is_sound() -> None:
    for seed in range(60):
        key = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
        assert is_sound_point(key.public_key().public_bytes_raw())
        assert is_sound_point(key.sign(b"anything")[:32])


@pytest.mark.parametrize("point", SMALL_ORDER)
def test_a_point_of_small_order_is_no_key(point: str) -> None:
    raw = bytes.fromhex(point)
    assert not is_sound_point(raw)
    with pytest.raises(SettingsError, match="anybody can sign"):
        parse_public_keys(base64.b64encode(raw).decode(), "hub.pub")


@pytest.mark.parametrize(
    "raw",
    [
        # y = 3 and more, written as y + p.
        *(encoded(PRIME + y) for y in (3, 4, 5, 18)),
        *(encoded(PRIME + y | 1 << 255) for y in (3, 18)),
        # y = 2: no point of the curve has it.
        encoded(2),
        b"short",
        b"\xff" * 33,
    ],
)
def test_what_is_no_point_or_written_in_a_second_way_is_no_key(raw: bytes) -> None:
    assert not is_sound_point(raw)


def test_one_bad_key_beside_good_ones_is_refused() -> None:
    good = base64.b64encode(public_of(new_signer()).key.public_bytes_raw()).decode()
    bad = base64.b64encode(bytes.fromhex(SMALL_ORDER[0])).decode()
    with pytest.raises(SettingsError, match=r"hub\.pub"):
        parse_public_keys(f"{good}\n{bad}\n", "hub.pub")


def test_a_signature_of_a_point_of_small_order_is_none() -> None:
    # Under the identity as key, R = identity and s = 0 fit every message; OpenSSL takes them.
    identity = bytes.fromhex(SMALL_ORDER[0])
    key = Ed25519PublicKey.from_public_bytes(identity)
    key.verify(identity + bytes(32), b"any message at all")
    envelope = json.loads(seal("{}", new_signer()))
    envelope["signature"] = base64.b64encode(identity + bytes(32)).decode()
    with pytest.raises(ModelError, match="not signed by a key that is trusted"):
        unseal(json.dumps(envelope).encode(), [PublicKey("weak", key)], "revision")
