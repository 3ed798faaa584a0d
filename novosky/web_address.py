"""Web addresses that people write into settings and options: refused where they are written, not where they are used.

A name in the DNS has labels of at most 63 characters and 253 in all (RFC 1035, 2.3.4). Clients find
that out only while they connect, and end with an error of the codec that no caller expects.
"""

from __future__ import annotations

from urllib.parse import urlsplit

_LONGEST_NAME, _LONGEST_LABEL = 253, 63
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
"""Hosts that are this machine itself."""


def check_web_address(address: str) -> str:
    """Return an address that a request can be sent to.

    Raises
    ------
    ValueError
        It does not begin with http:// or https://, or its host or port cannot exist. The address
        itself is not repeated, since it may hold a token.

    Examples
    --------
    >>> check_web_address("https://nfs.faireconomy.media")
    'https://nfs.faireconomy.media'
    """
    if not address.startswith(("http://", "https://")):
        raise ValueError("give an address that begins with https:// or http://")
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise ValueError("its host or port cannot be read; write https://HOST or https://HOST:PORT") from None
    if any(not character.isprintable() or character.isspace() for character in address):
        raise ValueError("it holds a blank or a character that cannot be shown; write it anew")
    if not host or not is_host_name(host):
        raise ValueError("it names no host that can exist; write https://HOST or https://HOST:PORT")
    return address


def is_host_name(host: str) -> bool:
    """Tell whether a host's name or address can exist; names of other scripts are measured as the DNS holds them."""
    if ":" in host:  # An address of IPv6, which urlsplit has checked.
        return True
    try:
        labels = [label.encode("idna") for label in host.removesuffix(".").split(".")]
    except UnicodeError:
        return False
    return all(0 < len(label) <= _LONGEST_LABEL for label in labels) and len(b".".join(labels)) <= _LONGEST_NAME


def check_guarded_address(address: str) -> str:
    """Return an address that messages and secrets may be sent to: encrypted, or on this machine.

    Raises
    ------
    ValueError
        It cannot be used (`check_web_address`), or is plain http to another machine.

    Examples
    --------
    >>> check_guarded_address("http://127.0.0.1:8080/alerts")
    'http://127.0.0.1:8080/alerts'
    """
    check_web_address(address)
    parts = urlsplit(address)
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise ValueError("plain http:// to another machine shows everything to the network; write https://")
    return address
