"""Checks of a connected broker: its symbol and its clock against config.json."""

from __future__ import annotations

import math

import numpy as np

from novosky.environment import BROKER
from novosky.errors import BrokerError
from novosky.market.server_time import ZONE_STEP, ServerClock
from novosky.settings import Settings
from trading.brokers.facts import UNITS_PER_USD, BrokerProbe, SymbolFacts
from trading.brokers.family import account_kinds, kind_named, names_of
from trading.brokers.margin import margin_problem
from trading.doctor.balance import HaltState, check_account
from trading.doctor.finding import Finding, fail, ok, warn

FRESH_SECONDS = 120
"""A tick further from every quarter than this is old and tells nothing of the clock."""


def _none_named() -> str:
    return f"nothing for paper trading; for a real account set {BROKER.name} to {names_of(account_kinds())}"


def check_broker_access(kind: str, refusal: str, platform: str) -> Finding:
    """Tell whether everything is named that a broker is reached with, without asking it.

    Parameters
    ----------
    kind : str
        Value of NOVOSKY_BROKER, empty where it is not set.
    refusal : str
        What keeps the account from being reached, see `trading.brokers.family.reach_from_environment`;
        empty for nothing.
    platform : str
        See ``sys.platform``.
    """
    broker = kind_named(kind)
    if not kind or (broker is not None and broker.reach is None):
        return warn("broker", f"not asked: {BROKER.name} is {kind or 'not set'}", _none_named())
    if refusal:
        return fail("broker", refusal, "correct it in .env or the environment")
    unfit, _, mend = ("", "", "") if broker is None else broker.refusal(platform).partition("; ")
    if unfit:
        return fail("broker", f"{BROKER.name} is {kind}, but {unfit}", mend)
    return warn("broker", f"{BROKER.name} is {kind}, account and address are named; not asked", "add --online")


def check_broker(
    probe: BrokerProbe | None, settings: Settings, now: float, halt: HaltState | None = None
) -> list[Finding]:
    """Compare a broker to the settings; one warning when there is none.

    Parameters
    ----------
    halt : HaltState or None
        What the journal knows; None takes the settings' starting balance.
    """
    halt = halt or HaltState(settings.risk_profile.starting_balance_usd, halted=False)
    if probe is None:
        return [warn("broker", "not asked: none is named", _none_named())]
    try:
        facts = probe.facts()
        return [
            check_limits(facts, settings),
            check_tick_value(facts, settings),
            check_margin(facts, settings),
            check_account(probe.account(), halt, settings),
            check_clock_offset(probe.server_seconds(), settings, now),
        ]
    except BrokerError as error:
        return [fail("broker", str(error), "start the terminal, log in, and check the symbol's name")]


def check_limits(facts: SymbolFacts, settings: Settings) -> Finding:
    """Compare the contract's limits to `broker` in config.json, which sizing and backtests use."""
    stated = settings.broker
    differing = [
        f"broker.{key} is {getattr(stated, key):g}, the broker says {value:g}"
        for key, value in (
            ("point", facts.point),
            ("digits", facts.digits),
            ("contract_size", facts.contract_size),
            ("volume_min", facts.volume_min),
            ("volume_max", facts.volume_max),
            ("volume_step", facts.volume_step),
            ("stops_level", facts.stops_level),
        )
        if not math.isclose(getattr(stated, key), value, rel_tol=1e-9)
    ]
    if differing:
        return fail("broker limits", "; ".join(differing), "write the broker's values into config.json")
    return ok("broker limits", f"{facts.symbol} as in config.json")


def check_tick_value(facts: SymbolFacts, settings: Settings) -> Finding:
    """Compare the money a price step is worth to what sizing assumes.

    Brokers are known to report a tick value of another account type or of zero; sizing from it
    would be wrong by orders of magnitude.
    """
    if facts.currency not in UNITS_PER_USD:
        text = f"the account is kept in {facts.currency}; all sums here are USD"
        return fail("tick value", text, f"use an account in {' or '.join(UNITS_PER_USD)}")
    expected = settings.lot_units * UNITS_PER_USD[facts.currency]
    if not (facts.tick_value > 0.0 and facts.tick_size > 0.0):
        text = f"tick value {facts.tick_value:g}, tick size {facts.tick_size:g}"
        return fail("tick value", text, "wait until the symbol is quoted, or ask the broker")
    per_unit = facts.tick_value / facts.tick_size
    if not math.isclose(per_unit, expected, rel_tol=0.01):
        text = f"one lot gains {per_unit:g} {facts.currency} per 1 USD of price, config.json says {expected:g}"
        return fail("tick value", text, "correct broker.contract_size and account_type in config.json")
    return ok("tick value", f"{per_unit:g} {facts.currency} per lot and 1 USD of price")


def check_margin(facts: SymbolFacts, settings: Settings) -> Finding:
    """Compare what the broker takes for a lot, and how it books, to what the rules reckon with."""
    stated = settings.account.currency_digits
    if facts.currency_digits != stated:
        text = f"the account books to {facts.currency_digits} decimals, account.currency_digits is {stated}"
        return fail("margin", text, f'write "currency_digits": {facts.currency_digits} in the section account')
    if facts.margin is None:
        return warn("margin", "not asked: the account's currency is not one that is traded here", "see the tick value")
    problem, _, mend = margin_problem(facts.margin, settings).partition("; ")
    if problem:
        return fail("margin", problem, mend or "run again while the market is open, or ask the broker")
    return ok("margin", f"{facts.margin.taken:.2f} USD for {facts.margin.volume:g} lot, as config.json reckons")


def check_clock_offset(server: int | None, settings: Settings, now: float) -> Finding:
    """Measure the server's clock by its newest tick and compare it to the rule."""
    mend = "correct broker.server_clock in config.json (UTC, NewYork+7 or an IANA zone)"
    if server is None:
        return warn("clock offset", "no tick yet", "run again while the market is open")
    offset = server - now
    measured = round(offset / ZONE_STEP) * ZONE_STEP
    if abs(offset - measured) > FRESH_SECONDS:
        text = "the newest tick is old, or this machine's clock is off"
        return warn("clock offset", text, "run again while the market is open; check network time")
    rule = settings.broker.server_clock
    expected = int(ServerClock(rule).from_utc(np.array([int(now)]))[0]) - int(now)
    if measured != expected:
        text = f"the server is at UTC{measured / 3600:+g}, {rule} gives UTC{expected / 3600:+g}"
        return fail("clock offset", text, mend)
    return ok("clock offset", f"the server is at UTC{measured / 3600:+g}, as {rule} says")
