"""What the broker takes for a lot, against what sizing, margin gate and stop-out reckon with."""

from __future__ import annotations

from novosky.errors import BrokerError
from novosky.settings import Settings
from trading.brokers.facts import MarginFacts

TOLERANCE = 0.01
"""Share by which the two may differ: sums rounded to cents, a rate of conversion that has moved."""
UNKNOWN = "the terminal cannot calculate the margin of a lot"


def margin_problem(facts: MarginFacts, settings: Settings) -> str:
    """Say in which way the margins differ and which line of config.json mends it, or return an empty text.

    A margin that does not follow the price, as a fixed sum for each lot, may be less than what is
    reckoned with: at another price the two differ, and more is the safe side.
    """
    if facts.taken is None or facts.taken <= 0.0:
        return UNKNOWN
    account, broker = settings.account, settings.broker
    full = facts.volume * settings.lot_units * facts.price
    reckoned = full / account.leverage * broker.margin_rate
    fixed = facts.at_half is not None and facts.at_half > (1.0 - TOLERANCE) * facts.taken
    if abs(facts.taken - reckoned) <= TOLERANCE * facts.taken or (fixed and facts.taken < reckoned):
        return ""
    text = (
        f"the broker takes {facts.taken:.2f} USD of margin for {facts.volume:g} lot at {facts.price:g}, "
        f"config.json reckons with {reckoned:.2f}"
    )
    if fixed:
        text += ", and takes it whatever the price"
    lines = []
    leverage = account.leverage
    if abs(facts.leverage - leverage) > TOLERANCE * leverage and facts.leverage > 0.0:
        # The account's own figure goes first; a symbol's own leverage is what is left.
        leverage = facts.leverage
        lines.append(f'"leverage": {leverage:g} in its section account')
    rate = facts.taken * leverage / full
    if abs(rate - broker.margin_rate) > TOLERANCE * broker.margin_rate:
        lines.append(f'"margin_rate": {rate:.4g} in its section broker')
    return f"{text}; write {' and '.join(lines)}"


def check_margin(facts: MarginFacts, settings: Settings) -> str:
    """Return why nothing may be opened, empty when the margins agree; see `margin_problem`.

    Raises
    ------
    BrokerError
        They are known and differ.
    """
    problem = margin_problem(facts, settings)
    if problem and problem != UNKNOWN:
        raise BrokerError(problem)
    return problem
