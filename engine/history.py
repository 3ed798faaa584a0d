"""One bar after another. The order of a bar is written down here and nowhere else.

Fills inside the bar -> calendar and breakers on floating equity -> open position ->
candidate -> gates -> size -> order for the next open.

Two answers depend on the state and cannot be computed ahead: what the position model says
of the open trade, and the risk multiplier of a candidate that has passed the gates. There
`advance` returns to its caller with the bar's index and continues from the same place when
it is called again with the answer.
"""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from engine.breakers import judge_close
from engine.exits import bars_held
from engine.fills import (
    BOTH_TOUCHED,
    EXIT_HALT,
    EXIT_MODEL,
    ORDER_BAD_STOPS,
    ORDER_EXPIRED,
    ORDER_FILLED,
    ORDER_NO_MONEY,
    ORDER_NONE,
    first_touch,
    floating_equity,
    nights_until,
    open_of_bar,
    settle_touch,
    touched,
)
from engine.gates import MARGIN, MARKET_CLOSED, ORDER_SHIFT, STOPS_LEVEL, failing_gates
from engine.prefetch import prefetch
from engine.records import FOREVER, Account, Bars, Candidate, Guard, Minutes, Params, Rollovers, Run
from engine.sizing import FITS, plan_order
from novosky.compiled import compiled

DONE = 0
ASK_POSITION = 1
"""Answer LEAVE, or HOLD to be asked again at the next close, or `hold_until` a later one."""
LEAVE = 1.0
HOLD = 0.0
ASK_MULTIPLIER = 2
"""Answer the risk multiplier of the candidate."""

_OPEN = 0
_POSITION = 1
_CANDIDATE = 2
_MULTIPLIER = 3


def hold_until(bar: int) -> float:
    """Return the answer to ASK_POSITION that holds the position and asks again at the close of `bar`, not before."""
    return -float(bar)


@compiled
def wants_exit(account: Account, guard: Guard) -> int:
    """Return the reason for which the open position must go, 0 when none: the hard halt closes it."""
    if account.side != 0 and guard.halted != 0:
        return EXIT_HALT
    return 0


@compiled
def order_rejection(result: int) -> int:
    """Return the gate bit that names why a waiting entry was not filled, 0 when it was."""
    if result == ORDER_BAD_STOPS:
        return STOPS_LEVEL
    if result == ORDER_NO_MONEY:
        return MARGIN
    if result == ORDER_EXPIRED:
        return MARKET_CLOSED
    return 0


@compiled
def judge_candidate(
    candidate: Candidate,
    account: Account,
    guard: Guard,
    params: Params,
    bid: float,
    spread: float,
    multiplier: float,
    frozen: int,
) -> tuple[int, float, float, float]:
    """Put a candidate through every gate and the sizing.

    Returns
    -------
    (int, float, float, float)
        Mask of failing gates (0: trade), lots, stop, target.
    """
    mask = failing_gates(candidate, guard, params, spread, frozen)
    verdict, volume, sl, tp = plan_order(candidate, account, params, bid, spread, multiplier)
    if verdict != FITS and multiplier > 1.0:
        # The risk model scales a trade; it never keeps one from fitting.
        verdict, volume, sl, tp = plan_order(candidate, account, params, bid, spread, 1.0)
    return mask | verdict << ORDER_SHIFT, volume, sl, tp


@compiled
def asks_multiplier(mask: int, params: Params) -> bool:
    """Tell whether a candidate with these failing gates is put to the risk model.

    The margin is judged at the size that will be sent, which the answer may shrink.
    """
    return params.risk_model != 0 and mask & ~MARGIN == 0


@compiled
def place_entry(account: Account, time: int, side: int, volume: float, sl: float, tp: float) -> None:
    """Put an entry on its way to the next open."""
    account.pending_side = side
    account.pending_time = time
    account.pending_volume = volume
    account.pending_sl = sl
    account.pending_tp = tp


@compiled
def place_exit(account: Account, time: int, reason: int) -> None:
    """Put an exit of the open position on its way to the next open."""
    account.pending_exit = reason
    account.pending_time = time


@compiled
def next_bar(candidates: npt.NDArray[Any], run: Run) -> int:
    """Return the bar of the next candidate, or FOREVER when none is left."""
    while run.candidate < len(candidates) and candidates[run.candidate].bar < run.bar:
        run.candidate += 1
    if run.candidate < len(candidates):
        return int(candidates[run.candidate].bar)
    return FOREVER


@compiled
def _note_block(run: Run, blocks: npt.NDArray[Any], candidate: int, mask: int) -> None:
    block = blocks[run.blocks]
    block.candidate = candidate
    block.gates = mask
    run.blocks += 1


@compiled
def _track_drawdown(
    account: Account, params: Params, run: Run, high: float, low: float, close: float, spread: float
) -> None:
    run.bars_in_market += 1
    if account.side != 0:
        worst = floating_equity(account, params, low if account.side > 0 else high, spread)
        equity = floating_equity(account, params, close, spread)
    else:
        worst = account.balance
        equity = account.balance
    if run.peak > 0.0 and run.peak - worst > run.max_drawdown * run.peak:
        run.max_drawdown = (run.peak - worst) / run.peak
    run.peak = max(run.peak, equity)


@compiled
def advance(
    account: Account,
    guard: Guard,
    params: Params,
    run: Run,
    bars: Bars,
    candidates: npt.NDArray[Any],
    minutes: Minutes,
    rollovers: Rollovers,
    trades: npt.NDArray[Any],
    blocks: npt.NDArray[Any],
    equity: npt.NDArray[Any],
    answer: float,
) -> int:
    """Run bars until the end or until an answer is needed.

    Parameters
    ----------
    account, guard, params, run : records
        Changed in place, except `params`.
    bars : Bars
        Columns of shape (n,).
    candidates : ndarray of Candidate
        Ascending in `bar`.
    minutes, rollovers
        May be empty.
    trades : ndarray of Trade
        Room for one more than there are candidates; `account.closed` of them are filled.
    blocks : ndarray of Block
        Room for one per candidate; `run.blocks` of them are filled.
    equity : ndarray of float, shape (n,) or (0,)
        Filled with the floating equity at each close when it has room.
    answer : float
        The answer to the question of the previous call, ignored on the first.

    Returns
    -------
    int
        DONE, ASK_POSITION or ASK_MULTIPLIER; the question is about bar `run.bar`.
    """
    # Local names keep the tuple from being unpacked (and its arrays counted) once per bar.
    times, opens, highs, lows, closes, spreads = bars.time, bars.open, bars.high, bars.low, bars.close, bars.spread
    count = len(times)
    record_equity = len(equity) == count
    next_candidate = next_bar(candidates, run)
    next_rollover = rollovers.time[run.rollover] if run.rollover < len(rollovers.time) else FOREVER
    i = run.bar
    while i < count:
        spread = spreads[i]
        bid = closes[i]
        time = times[i] + params.bar_seconds
        if run.phase == _OPEN:
            nights = 0.0
            if times[i] >= next_rollover:
                run.rollover, nights = nights_until(rollovers, run.rollover, times[i])
                next_rollover = rollovers.time[run.rollover] if run.rollover < len(rollovers.time) else FOREVER
            if account.side != 0 or account.pending_side != 0:
                closed = account.closed
                trade = trades[closed]
                result = open_of_bar(account, params, trade, times[i], opens[i], spread, nights)
                if result != ORDER_NONE and result != ORDER_FILLED:
                    _note_block(run, blocks, run.pending_candidate, order_rejection(result))
                if account.side != 0:
                    touch = touched(account, params, opens[i], highs[i], lows[i], spread)
                    if touch == BOTH_TOUCHED:
                        touch = first_touch(account, params, spread, minutes, i)
                    if touch != 0:
                        settle_touch(account, params, trade, times[i], opens[i], spread, touch)
                if account.side != 0 or account.closed != closed:
                    _track_drawdown(account, params, run, highs[i], lows[i], bid, spread)
            else:
                account.time = times[i]
            judge_close(account, guard, params, time, bid, spread)
            if record_equity:
                equity[i] = guard.equity
            run.phase = _CANDIDATE
            if account.side != 0:
                reason = wants_exit(account, guard)
                if reason != 0:
                    place_exit(account, time, reason)
                elif (
                    params.position_model != 0
                    and i >= run.ask_from
                    # Before that the rule cannot be met, whatever the model says: short trades never ask it.
                    and bars_held(account, params, time) >= params.min_bars_held
                ):
                    run.phase = _POSITION
                    run.bar = i
                    return ASK_POSITION
        elif run.phase == _POSITION:
            if answer > 0.0:
                place_exit(account, time, EXIT_MODEL)
            else:
                run.ask_from = int(-answer)
            run.phase = _CANDIDATE
        if next_candidate == i:
            if account.side == 0:
                candidate = candidates[run.candidate]
                multiplier = answer if run.phase == _MULTIPLIER else 1.0
                mask, volume, sl, tp = judge_candidate(candidate, account, guard, params, bid, spread, multiplier, 0)
                if run.phase != _MULTIPLIER and asks_multiplier(mask, params):
                    run.phase = _MULTIPLIER
                    run.bar = i
                    return ASK_MULTIPLIER
                if mask != 0:
                    _note_block(run, blocks, run.candidate, mask)
                else:
                    run.pending_candidate = run.candidate
                    run.ask_from = 0
                    place_entry(account, time, candidate.side, volume, sl, tp)
            run.candidate += 1
            next_candidate = next_bar(candidates, run)
            if next_candidate < count:
                prefetch((times, opens, highs, lows, closes, spreads), next_candidate)
        run.phase = _OPEN
        i += 1
        if account.side == 0 and account.pending_side == 0 and i < next_candidate:
            # Flat and idle, equity cannot move: nothing happens before the next candidate. The
            # calendar catches up there; the last bar is always judged.
            target = min(next_candidate, count - 1)
            if record_equity:
                equity[i:target] = guard.equity
            i = max(i, target)
    run.bar = i
    return DONE
