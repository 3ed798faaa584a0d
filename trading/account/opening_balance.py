"""The balance a bot begins with, against the one its hard halt measures from."""

from __future__ import annotations

from engine.records import Params

FAR = 1.25
"""A balance more than a quarter above the starting balance, or a fifth below it, is another account's size:
the halt would stand where nobody meant it."""


def balance_problem(balance: float, base: float, params: Params) -> str:
    """Say what is wrong with beginning at this balance, and what a person can do; empty when nothing is.

    Parameters
    ----------
    balance : float
        USD.
    base : float
        What the hard halt measures from, USD.
    params : Params
    """
    line = base * (1.0 - params.max_total_drawdown)
    near = base / FAR <= balance <= base * FAR
    if balance >= line and near:
        return ""
    begin = (
        f"the account holds {balance:.2f} USD, risk_profile.starting_balance_usd makes the hard halt "
        f"measure from {base:.2f} and stop the bot for good below {line:.2f}"
    )
    write = f'write "starting_balance_usd": {balance:.2f} in its section risk_profile of config.json'
    if balance < line:
        return f"{begin}, where it stands already; {write}"
    return f"{begin}; {write}, or start once with --accept-balance to keep it"


def is_below_halt(balance: float, base: float, params: Params) -> bool:
    """Tell whether the halt would latch at once."""
    return balance < base * (1.0 - params.max_total_drawdown)
