"""The bridge's address, token and certificate, read from the environment, never from a settings file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from trading.brokers.bridge.admission import TOKEN_VARIABLE, check_token
from trading.brokers.bridge.line import check_address

URL_VARIABLE = "NOVOSKY_BRIDGE_URL"
CA_VARIABLE = "NOVOSKY_BRIDGE_CA"


@dataclass(frozen=True)
class BridgeAccess:
    """What `BridgeModule` needs to know.

    Attributes
    ----------
    url : str
        `https://host:port`, or `http://127.0.0.1:port` on the same machine or through a tunnel.
    token : SecretStr
        What both sides share.
    ca : Path or None
        The server's certificate, where no public authority signed it.

    Raises
    ------
    UsageError
        An address or token that must not be used.
    """

    url: str
    token: SecretStr
    ca: Path | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "url", check_address(self.url))
        check_token(self.token.get_secret_value())

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> BridgeAccess | None:
        """Return the bridge that the environment names, or None when it names no address.

        Raises
        ------
        UsageError
            An address without a fit token, or an unfit address.
        """
        url, ca = environment.get(URL_VARIABLE, "").strip(), environment.get(CA_VARIABLE, "").strip()
        if not url:
            return None
        return cls(url, SecretStr(environment.get(TOKEN_VARIABLE, "").strip()), Path(ca) if ca else None)
