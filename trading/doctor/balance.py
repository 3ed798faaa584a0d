"""A check of the account's money: balance, halt line and open positions against the settings."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import URL

from novosky.errors import NovoskyError
from novosky.settings import Settings
from trading.account.opening_balance import FAR
from trading.brokers.facts import AccountFacts
from trading.doctor.finding import Finding, fail, ok, warn
from trading.journal import Journal


@dataclass(frozen=True)
class HaltState:
    """What the journal knows of the hard halt.

    Attributes
    ----------
    base : float
        What it measures from, USD, moved by money paid in and out.
    halted : bool
    """

    base: float
    halted: bool


def halt_state(journal: URL, settings: Settings) -> HaltState:
    """Return the halt of a journal, as the settings alone make it where there is none to read."""
    stated = settings.risk_profile.starting_balance_usd
    try:
        opened = Journal(journal, durable=False, read_only=True, patience=0.0)
    except NovoskyError:
        return HaltState(stated, halted=False)
    try:
        status = opened.status()
    except NovoskyError:
        status = None
    finally:
        opened.close()
    if status is None or status.guard.halt_balance != stated:
        return HaltState(stated, halted=False)
    return HaltState(stated + float(status.guard.halt_moved), bool(status.guard.halted))


def check_account(facts: AccountFacts, state: HaltState, settings: Settings) -> Finding:
    """Compare balance and open positions to where the hard halt stands."""
    line = state.base * (1.0 - settings.max_total_drawdown_pct / 100.0)
    text = (
        f"balance {facts.balance:.2f} USD, equity {facts.equity:.2f}, hard halt below {line:.2f} "
        f"(from {state.base:.2f}), {facts.own} position(s) of the bot, {facts.foreign} of others"
    )
    write = f'write "starting_balance_usd": {facts.balance:.2f} in the section risk_profile'
    if state.halted:
        return fail("account", f"the bot is halted for good: {text}", f"to lift the halt {write}")
    if facts.equity < line:
        return fail("account", f"the hard halt latches at the next close: {text}", write)
    if not state.base / FAR <= facts.balance <= state.base * FAR:
        return warn("account", f"the halt is far from this balance: {text}", write)
    if facts.own > 1:
        return fail("account", text, "close all but one of the bot's positions by hand")
    return ok("account", text)
