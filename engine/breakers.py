"""Calendar roll-overs, breakers and halts, judged on floating equity at every bar's close."""

from __future__ import annotations

from engine.fills import floating_equity
from engine.records import RING, Account, Guard, Params
from novosky.compiled import compiled
from novosky.market.timeframe import DAY_SECONDS, WEEK_SECONDS

MONDAY = 4 * DAY_SECONDS
"""1970-01-05 was a Monday."""
NOTHING = 1e-6
"""USD that are no money: less than the smallest unit of any account."""


@compiled
def start_guard(guard: Guard, params: Params, time: int, balance: float) -> None:
    """Set a fresh guard at `time` with `balance` as equity of the day, the week and the peak."""
    guard.time = time
    guard.equity = balance
    guard.peak_equity = balance
    guard.next_day = (time // DAY_SECONDS + 1) * DAY_SECONDS
    guard.next_week = ((time - MONDAY) // WEEK_SECONDS + 1) * WEEK_SECONDS + MONDAY
    guard.day_equity = balance
    guard.week_peak = balance
    guard.halt_balance = params.starting_balance
    guard.halt_moved = 0.0
    # An account that starts below its halt must not trade until its equity first moves.
    update_breakers(guard, params, balance)


@compiled
def halt_base(guard: Guard, params: Params) -> float:
    """Return the USD that the hard halt measures from: the starting balance, moved by money paid in and out."""
    return params.starting_balance + guard.halt_moved


@compiled
def halt_line(guard: Guard, params: Params) -> float:
    """Return the equity, USD, below which the hard halt latches."""
    return halt_base(guard, params) * (1.0 - params.max_total_drawdown)


@compiled
def moved(reference: float, equity: float, amount: float) -> float:
    """Return a reference as `move_references` moves it; without equity there is no proportion, only the amount."""
    if equity <= 0.0:
        return max(reference + amount, 0.0)
    if equity + amount <= NOTHING:
        return 0.0
    # In this order a reference that equals the equity moves by the very amount.
    return reference + amount * (reference / equity)


@compiled
def move_references(guard: Guard, params: Params, equity: float, amount: float) -> None:
    """Move everything the account is measured by with money that was paid in or out.

    A deposit is no gain and a withdrawal no loss: each reference moves by the amount in
    proportion to what it is of the equity, by the amount itself where the two are equal. So every
    loss stays the same share of its reference, and a movement alone neither reaches a limit,
    nor hides what was lost before it, nor takes the hard halt away from who draws profits.
    Moved by the bare amount instead, 290 of 5000 USD lost before a withdrawal of 600
    would become more than 6 % of 4400.

    Parameters
    ----------
    guard, params : records
    equity : float
        The floating equity just before, USD.
    amount : float
        USD, negative when paid out.
    """
    guard.equity = moved(guard.equity, equity, amount)
    guard.peak_equity = moved(guard.peak_equity, equity, amount)
    guard.day_equity = moved(guard.day_equity, equity, amount)
    guard.week_peak = moved(guard.week_peak, equity, amount)
    base = halt_base(guard, params)
    guard.halt_moved += moved(base, equity, amount) - base
    for k in range(min(guard.closed, RING)):
        guard.balances[k] = moved(guard.balances[k], equity, amount)
        if equity > 0.0 and equity + amount > NOTHING:
            # The risk model is told results as shares of the equity.
            guard.results[k] += amount * (guard.results[k] / equity)


@compiled
def count_closed(guard: Guard, params: Params, balance: float, net: float, time: int) -> None:
    """Take the newest closed position into account: streaks, and the equity-curve pause."""
    # A trade that ends at zero is no loss: it ends a streak of them.
    if net < 0.0:
        guard.losses += 1
        guard.day_losses += 1
        guard.wins = 0
    else:
        guard.wins += 1
        guard.losses = 0
        guard.day_losses = 0
    # The settings let the mean look back on no more trades than the ring holds.
    guard.balances[guard.closed % RING] = balance
    guard.results[guard.closed % RING] = net
    guard.closed += 1
    if params.equity_curve != 0 and guard.closed >= params.equity_curve_trades:
        total = 0.0
        for k in range(params.equity_curve_trades):
            total += guard.balances[(guard.closed - 1 - k) % RING]
        mean = total / params.equity_curve_trades
        if balance < mean * (1.0 - params.equity_curve_drawdown):
            guard.paused_until = time + params.equity_curve_pause


@compiled
def roll_calendar(guard: Guard, time: int, equity: float) -> None:
    """Start a new UTC day or week when its first moment has come by `time`.

    The new period opens with the equity of its own first moment when a bar closes right
    then, and otherwise (the market was closed over it) with the last equity before it, so
    that a loss over a gap belongs to the new period.
    """
    if time >= guard.next_day:
        guard.day_equity = equity if time == guard.next_day else guard.equity
        guard.day_losses = 0
        guard.day_blocked = 0
        guard.next_day = (time // DAY_SECONDS + 1) * DAY_SECONDS
    if time >= guard.next_week:
        guard.week_peak = equity if time == guard.next_week else guard.equity
        guard.week_blocked = 0
        guard.next_week = ((time - MONDAY) // WEEK_SECONDS + 1) * WEEK_SECONDS + MONDAY


@compiled
def update_breakers(guard: Guard, params: Params, equity: float) -> None:
    """Latch the daily, weekly and total limits that `equity` has reached."""
    guard.peak_equity = max(guard.peak_equity, equity)
    guard.week_peak = max(guard.week_peak, equity)
    # Of an account from which everything was withdrawn nothing is lost.
    if 0.0 < guard.day_equity - equity >= params.max_daily_loss * guard.day_equity:
        guard.day_blocked = 1
    if 0.0 < guard.week_peak - equity >= params.max_weekly_drawdown * guard.week_peak:
        guard.week_blocked = 1
    if guard.halt_balance != params.starting_balance:
        # Whoever states another starting balance has seen what the account holds now.
        guard.halt_balance = params.starting_balance
        guard.halt_moved = 0.0
        guard.halted = 0
    if equity < halt_line(guard, params):
        guard.halted = 1


@compiled
def judge_close(account: Account, guard: Guard, params: Params, time: int, bid: float, spread: float) -> None:
    """Bring the guard to the close of a bar: closed trades, calendar, floating equity, breakers.

    Parameters
    ----------
    account, guard, params : records
    time : int
        The bar's close, UTC epoch seconds.
    bid, spread : float
        The quote at the close, USD.
    """
    judge_equity(account, guard, params, time, floating_equity(account, params, bid, spread))


@compiled
def judge_equity(account: Account, guard: Guard, params: Params, time: int, equity: float) -> None:
    """Bring the guard to a close at which the account's floating equity, USD, is known; see `judge_close`."""
    # A bar of history ends at most one trade; what else has closed while a bot was away it has counted before.
    closed = account.closed != guard.closed
    begun = time > guard.next_day
    if begun:
        # The market was closed over midnight: what this bar lost is the new day's already.
        roll_calendar(guard, time, equity)
    if closed:
        count_closed(guard, params, account.balance, account.last_net, time)
    halt_moved = guard.halt_balance != params.starting_balance
    # Where none of these has changed no limit can be reached; most bars of a year are flat and stop here.
    if closed or begun or halt_moved or equity != guard.equity or time >= guard.next_day:
        roll_calendar(guard, time, equity)
        update_breakers(guard, params, equity)
        guard.equity = equity
    guard.time = time
