"""One bar of history after another, compiled: the open and the rest of each bar, then its close.

What happens in a bar, and in which order, is `engine.bar`; this loop only knows where the
bars, the candidates and the server's midnights stand, and skips what cannot change anything.
"""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from engine.bar import DONE, NOBODY, OPEN, close_bar, order_rejection, rest_of_bar, settle_both
from engine.fills import floating_equity, nights_until, open_of_bar
from engine.prefetch import prefetch
from engine.records import FOREVER, Account, Bar, Close, Guard, Params, Rollovers, Run, Window
from engine.touch import BOTH_TOUCHED
from novosky.compiled import compiled, inlined


@compiled
def next_bar(candidates: npt.NDArray[Any], run: Run) -> int:
    """Return the bar of the next candidate, or FOREVER when none is left."""
    while run.candidate < len(candidates) and candidates[run.candidate].bar < run.bar:
        run.candidate += 1
    if run.candidate < len(candidates):
        return int(candidates[run.candidate].bar)
    return FOREVER


@compiled
def _next_midnight(rollovers: Rollovers, run: Run) -> int:
    if run.rollover < len(rollovers.time):
        return int(rollovers.time[run.rollover])
    return FOREVER


@compiled
def _note_block(run: Run, blocks: npt.NDArray[Any], candidate: int, mask: int) -> None:
    block = blocks[run.blocks]
    block.candidate = candidate
    block.gates = mask
    run.blocks += 1


@inlined
def _track_drawdown(account: Account, params: Params, run: Run, bar: Bar) -> None:
    run.bars_in_market += 1
    if account.side != 0:
        worst = floating_equity(account, params, bar.low if account.side > 0 else bar.high, bar.spread)
        equity = floating_equity(account, params, bar.close, bar.spread)
    else:
        worst = account.balance
        equity = account.balance
    # Against the peak of earlier closes: within a bar nobody knows which extreme came first.
    if run.peak > 0.0 and run.peak - worst > run.max_drawdown * run.peak:
        run.max_drawdown = (run.peak - worst) / run.peak
    run.peak = max(run.peak, equity)


@compiled
def advance(
    account: Account,
    guard: Guard,
    params: Params,
    run: Run,
    candidates: npt.NDArray[Any],
    window: Window,
    answer: float,
) -> int:
    """Run bars until the end or until an answer is needed.

    Parameters
    ----------
    account, guard, params, run : records
        Changed in place, except `params`.
    candidates : ndarray of Candidate
        Ascending in `bar`.
    window : Window
        What is read and written bar by bar.
    answer : float
        The answer to the question of the previous call, ignored on the first.

    Returns
    -------
    int
        DONE, ASK_POSITION or ASK_MULTIPLIER; the question is about bar `run.bar`.
    """
    # Local names keep the tuples from being unpacked (and their arrays counted) once per bar.
    bars, minutes, rollovers = window.bars, window.minutes, window.rollovers
    trades, blocks, equity = window.trades, window.blocks, window.equity
    times, opens, highs, lows, closes, spreads = bars.time, bars.open, bars.high, bars.low, bars.close, bars.spread
    count = len(times)
    # Who needs no curve, as the random entries of the benchmark, gives an array without rows.
    record_equity = len(equity) == count
    next_candidate, next_midnight = next_bar(candidates, run), _next_midnight(rollovers, run)
    i = run.bar
    while i < count:
        if run.phase == OPEN:
            nights = 0.0
            # Counted off while flat too: nights without a position are never charged.
            if times[i] >= next_midnight:
                run.rollover, nights = nights_until(rollovers, run.rollover, times[i])
                next_midnight = _next_midnight(rollovers, run)
            if account.side != 0 or account.pending_side != 0:
                bar = Bar(times[i], opens[i], highs[i], lows[i], closes[i], spreads[i])
                # In no function of its own: handing on the arrays, inlined or not, takes a quarter of the speed.
                closed, trade = account.closed, trades[account.closed]
                refused = order_rejection(open_of_bar(account, params, trade, bar.time, bar.open, bar.spread, nights))
                if refused != 0:
                    _note_block(run, blocks, run.pending_candidate, refused)
                if account.side != 0 and rest_of_bar(account, params, trade, bar) == BOTH_TOUCHED:
                    settle_both(account, params, trade, minutes, i, bar)
                if account.side != 0 or account.closed != closed:
                    _track_drawdown(account, params, run, bar)
            else:
                account.time = times[i]
        close_time = times[i] + params.bar_seconds
        due = run.candidate if next_candidate == i else -1
        candidate = candidates[due] if due >= 0 else NOBODY[0]
        # The quote of a bar's close is the close: never stale, nobody froze it or took a stop away.
        close = Close(i, close_time, closes[i], spreads[i], close_time, due, 0, 0)
        question, mask = close_bar(account, guard, params, run, candidate, close, answer)
        if question != DONE:
            run.bar = i
            return question
        if record_equity:
            equity[i] = guard.equity
        if mask != 0:
            _note_block(run, blocks, due, mask)
        if due >= 0:
            run.candidate += 1
            next_candidate = next_bar(candidates, run)
            if next_candidate < count:
                prefetch((times, opens, highs, lows, closes, spreads), next_candidate)
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
