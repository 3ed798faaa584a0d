"""Over TLS the bridge may be reached from another machine; without it nobody but this one may."""

from __future__ import annotations

import datetime
import ipaddress
import logging
import socket
from contextlib import suppress
from pathlib import Path

import pytest

from novosky.errors import UsageError
from tests.helpers.bridge_module import TOKEN, SmallModule, serving
from trading.brokers.bridge.client import BridgeModule
from trading.brokers.bridge.limits import Limits
from trading.brokers.bridge.server import tls_context

NO_CONNECTION = (-10004, "No IPC connection")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate of 127.0.0.1 and its key."""
    pytest.importorskip("cryptography", reason="certificates are made with the cryptography package")
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "bridge")])
    today = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - datetime.timedelta(days=1))
        .not_valid_after(today + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "cert.pem").write_bytes(made.public_bytes(pem))
    plain = serialization.NoEncryption()
    (folder / "key.pem").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    return folder / "cert.pem", folder / "key.pem"


def test_tls_works_with_a_self_signed_certificate_that_the_client_trusts(certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    with serving(SmallModule(), tls=tls_context(cert, key)) as server:
        assert server.url.startswith("https://")
        with BridgeModule(server.url, TOKEN, ca=cert) as mt5:
            assert mt5.version() == (500, 5200, "26 Sep 2026")
            assert len(mt5.copy_rates_from_pos("BTCUSD", 15, 0, 20_000)) == 20_000


def test_a_certificate_that_the_client_does_not_trust_is_no_connection(certificate: tuple[Path, Path]) -> None:
    with serving(SmallModule(), tls=tls_context(*certificate)) as server, BridgeModule(server.url, TOKEN) as mt5:
        assert mt5.version() is None
        assert mt5.last_error() == NO_CONNECTION


def test_with_tls_an_open_address_is_allowed(certificate: tuple[Path, Path]) -> None:
    with serving(SmallModule(), tls=tls_context(*certificate), host="0.0.0.0") as server:
        url = f"https://127.0.0.1:{server.server_address[1]}"
        with BridgeModule(url, TOKEN, ca=certificate[0]) as mt5:
            assert mt5.version() is not None


def test_a_client_that_does_not_finish_the_handshake_keeps_nobody_out(
    certificate: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    limits = Limits(request_seconds=0.5)
    with serving(SmallModule(), tls=tls_context(*certificate), limits=limits) as server:
        with (
            socket.create_connection(server.server_address[:2], timeout=5) as silent,
            BridgeModule(server.url, TOKEN, ca=certificate[0]) as mt5,
        ):
            assert mt5.version() is not None
            assert silent.recv(100) == b""
        with socket.create_connection(server.server_address[:2], timeout=5) as plain:
            plain.sendall(f"GET /v1/hello HTTP/1.1\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
            with suppress(ConnectionResetError):
                assert plain.recv(100) == b""
    assert caplog.text.count("no TLS") == 2
    assert TOKEN not in caplog.text


def test_files_that_are_no_certificate_are_named(tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_text("nothing")
    with pytest.raises(UsageError, match="--cert"):
        tls_context(tmp_path / "cert.pem", tmp_path / "key.pem")
    with pytest.raises(UsageError, match="no certificate"):
        BridgeModule("https://127.0.0.1:1", TOKEN, ca=tmp_path / "cert.pem")
