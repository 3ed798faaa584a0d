"""How long the adapter waits for what, and how often it tries; each figure with its reason."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import SecretStr


def shown_login(login: int) -> str:
    """Return an account number as messages show it: its last three digits; the number is a secret."""
    return f"...{login % 1000:03d}"


@dataclass(frozen=True)
class Access:
    """Which account is to be traded, and how to reach its terminal.

    Attributes
    ----------
    login : int
        Account number; any other account attached to the terminal stops the bot.
    server : str
        Its server's name.
    real : bool
        True when config says that real money may be traded; False demands a demo or contest account.
    password : SecretStr or None
        For a terminal that stands at another account or at none; without it the bot only attaches.
    path : str or None
        The terminal's program file, where there are several.
    """

    login: int
    server: str
    real: bool
    password: SecretStr | None = None
    path: str | None = None


@dataclass(frozen=True)
class Timing:
    """Seconds and counts.

    Attributes
    ----------
    call : float
        Real time one call may take; trade servers give up after 30 s by themselves. Infinite for a
        module that cannot hang: its calls are then made without a thread to watch.
    history_call : float
        The same where the terminal may have to download first (91 s have been seen).
    connect_call : float
        The same for connecting; the package's own limit is 60 s.
    read_tries : int
    read_pause : float
        A read that failed is repeated this often: histories load, other clients get in the way.
    reconnect_first, reconnect_most : float
        Pause after a failed connection, doubled each time.
    reconnect_spread : float
        Share of such a pause by which chance may lengthen it.
    refused_login : float
        Pause after wrong credentials: servers lock out whoever hammers.
    tick_wait, tick_poll : float
        How long a newly selected symbol may take to its first tick.
    tick_age : float
        Oldest quote an entry may be sent on; BTCUSD ticks every second or so.
    requote_tries : int
    requote_seconds, requote_pause : float
        New quotes for one entry, all within its bar.
    exit_tries : int
    exit_seconds : float
        The same for exits, which matter more.
    throttle, throttle_most : float
        Pause of all orders after "too many requests", doubled while it lasts.
    visible, visible_poll : float
        How long an executed order may take to show in the lists; some 100 ms are usual.
    lookup_healthy : float
        An order nobody finds during this long of a working link was not placed.
    lookup_limit, lookup_poll : float
        After this long without such a stretch the outcome stays unknown for now.
    """

    call: float = 40.0
    history_call: float = 120.0
    connect_call: float = 75.0
    read_tries: int = 3
    read_pause: float = 0.5
    reconnect_first: float = 1.0
    reconnect_most: float = 60.0
    reconnect_spread: float = 0.5
    refused_login: float = 300.0
    tick_wait: float = 3.0
    tick_poll: float = 0.1
    tick_age: float = 60.0
    requote_tries: int = 3
    requote_seconds: float = 15.0
    requote_pause: float = 1.0
    exit_tries: int = 10
    exit_seconds: float = 60.0
    throttle: float = 2.0
    throttle_most: float = 16.0
    visible: float = 5.0
    visible_poll: float = 0.2
    lookup_healthy: float = 30.0
    lookup_limit: float = 90.0
    lookup_poll: float = 1.0
