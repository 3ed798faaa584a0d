"""The order of one bar, written down once: for history, for the simulated server and for the live bot.

Fills inside the bar -> calendar and breakers on floating equity -> open position ->
candidate -> gates -> size -> order for the next open.

`rest_of_bar` is what the market does to a position between the open and the close; in live
trading the broker does it. `close_bar` is what is decided at the close. Two answers in it
depend on the state and cannot be computed ahead: what the position model says of the open
trade, and the risk multiplier of a candidate that has passed the gates. There it returns to
its caller and goes on from the same place when it is called again with the answer.
"""

from __future__ import annotations

from engine.breakers import judge_close
from engine.exits import VERDICT_ADD, VERDICT_EXIT, VERDICT_HOLD, bars_held
from engine.fills import (
    EXIT_HALT,
    EXIT_MANUAL,
    EXIT_MODEL,
    ORDER_BAD_STOPS,
    ORDER_EXPIRED,
    ORDER_NO_MONEY,
    first_touch,
    settle_touch,
    touched,
)
from engine.gates import MARGIN, MARKET_CLOSED, ORDER_SHIFT, STOPS_LEVEL, failing_gates
from engine.records import Account, Bar, Candidate, Close, Guard, Minutes, Params, Run, Trade, new_records
from engine.sizing import FITS, plan_order
from engine.touch import BOTH_TOUCHED, NOT_TOUCHED
from novosky.compiled import compiled, inlined

DONE = 0
ASK_POSITION = 1
"""Answer HOLD, LEAVE or ADD, or `hold_until` a later close."""
ASK_MULTIPLIER = 2
"""Answer the risk multiplier of the candidate."""

HOLD = float(VERDICT_HOLD)
"""Keep the position and ask again at the next close."""
LEAVE = float(VERDICT_EXIT)
ADD = float(VERDICT_ADD)
"""Holds. The rules know one position of one size; ADD is for whoever keeps a log of what the model said."""

OPEN = 0
"""Phase of a run between two bars; the others are places inside `close_bar`."""
_POSITION = 1
_CANDIDATE = 2
_MULTIPLIER = 3


NOBODY = new_records(Candidate, 1)
"""Stands where a close has no candidate."""


def hold_until(bar: int) -> float:
    """Return the answer to ASK_POSITION that holds the position and asks again at the close of `bar`, not before."""
    return -float(bar)


@inlined
def rest_of_bar(account: Account, params: Params, trade: Trade, bar: Bar) -> int:
    """Let the open position meet the bar's prices after its open: stop, target, stop-out.

    Parameters
    ----------
    account, params, trade : records
        `account` with an open position; `trade` is written when it closes.
    bar : Bar

    Returns
    -------
    int
        0 when the position stays open, EXIT_STOP or EXIT_TARGET as the level that ended it, or
        BOTH_TOUCHED: both were reached, the position is still there, and `settle_both` decides.
    """
    touch = touched(account, params, bar.open, bar.high, bar.low, bar.spread)
    if touch != NOT_TOUCHED and touch != BOTH_TOUCHED:
        settle_touch(account, params, trade, bar.time, bar.open, bar.spread, touch)
    # The minutes do not come in here: arrays that are handed on are counted, at every bar of a trade.
    return touch


@compiled
def settle_both(account: Account, params: Params, trade: Trade, minutes: Minutes, number: int, bar: Bar) -> None:
    """End the position in a bar that reached both levels, by its minutes or else at the stop.

    Parameters
    ----------
    account, params, trade, bar
        As for `rest_of_bar`.
    minutes : Minutes
        May be empty.
    number : int
        Index of the bar in `minutes`.
    """
    touch = first_touch(account, params, bar.spread, minutes, number)
    settle_touch(account, params, trade, bar.time, bar.open, bar.spread, touch)


@inlined
def wants_exit(account: Account, guard: Guard, exposed: int) -> int:
    """Return the reason for which the open position must go, 0 when none.

    The hard halt closes it. So does the loss of its stop or target: without them its risk is
    not the one it was sized by.
    """
    if account.side == 0:
        return 0
    if guard.halted != 0:
        return EXIT_HALT
    # In history nothing takes a stop away; somebody at the terminal can.
    return EXIT_MANUAL if exposed != 0 else 0


@inlined
def asks_position(account: Account, params: Params, run: Run, close: Close) -> bool:
    """Tell whether the position model is asked about the open position at this close.

    Not before `min_bars_held`, in history and live alike: no answer could be followed before
    it, so the model is spared the question and the journal an opinion without consequence.
    """
    return (
        params.position_model != 0
        and close.bar >= run.ask_from
        and bars_held(account, params, close.time) >= params.min_bars_held
    )


@inlined
def judge_candidate(
    candidate: Candidate,
    account: Account,
    guard: Guard,
    params: Params,
    close: Close,
    multiplier: float,
) -> tuple[int, float, float, float]:
    """Put a candidate through every gate and the sizing.

    Returns
    -------
    (int, float, float, float)
        Mask of failing gates (0: trade), lots, stop, target.
    """
    mask = failing_gates(candidate, guard, params, close.spread, close.frozen)
    if close.quoted - close.time > params.entry_valid_seconds:
        # The market was closed, or the bot away, since the close: this is no longer its quote.
        mask |= MARKET_CLOSED
    verdict, volume, sl, tp = plan_order(candidate, account, params, close.bid, close.spread, multiplier)
    if verdict != FITS and multiplier > 1.0:
        # The risk model scales a trade; it never keeps one from fitting.
        verdict, volume, sl, tp = plan_order(candidate, account, params, close.bid, close.spread, 1.0)
    return mask | verdict << ORDER_SHIFT, volume, sl, tp


@compiled
def asks_multiplier(mask: int, params: Params) -> bool:
    """Tell whether a candidate with these failing gates is put to the risk model.

    The margin is judged at the size that will be sent, which the answer may shrink.
    """
    return params.risk_model != 0 and mask & ~MARGIN == 0


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


@inlined
def close_bar(
    account: Account,
    guard: Guard,
    params: Params,
    run: Run,
    candidate: Candidate,
    close: Close,
    answer: float,
) -> tuple[int, int]:
    """Decide at a close: breakers, open position, candidate, gates, size, and the order for the next open.

    Parameters
    ----------
    account, guard, params, run : records
        Changed in place, except `params`. An order stands in `account.pending_side` and its
        neighbours afterwards, an exit in `account.pending_exit`.
    candidate : Candidate
        The one of this close, NOBODY[0] when `close.candidate` is -1.
    close : Close
    answer : float
        The answer to the question of the previous call, ignored on the first of a bar.

    Returns
    -------
    (int, int)
        DONE, ASK_POSITION or ASK_MULTIPLIER; and, when done, the failing gates of the
        candidate that was judged: 0 when it became an order or none was judged.
    """
    if run.phase == OPEN:
        # Here alone: the calls that bring answers come in at the phases below, and a close judged twice
        # would count its trade and its losses twice.
        judge_close(account, guard, params, close.time, close.bid, close.spread)
        run.phase = _CANDIDATE
        if account.side != 0:
            reason = wants_exit(account, guard, close.exposed)
            if reason != 0:
                place_exit(account, close.time, reason)
            elif asks_position(account, params, run, close):
                run.phase = _POSITION
                return ASK_POSITION, 0
    elif run.phase == _POSITION:
        if answer == LEAVE:
            place_exit(account, close.time, EXIT_MODEL)
        else:
            # Below zero stands the bar of `hold_until`; no verdict is negative.
            run.ask_from = int(-answer) if answer < 0.0 else 0
        run.phase = _CANDIDATE
    mask = 0
    # One position at a time: a signal in a trade, the closing bar's excepted, was never considered.
    if close.candidate >= 0 and account.side == 0:
        # First at its plain size: only who passes the gates is put to the risk model.
        multiplier = answer if run.phase == _MULTIPLIER else 1.0
        mask, volume, sl, tp = judge_candidate(candidate, account, guard, params, close, multiplier)
        if run.phase != _MULTIPLIER and asks_multiplier(mask, params):
            run.phase = _MULTIPLIER
            return ASK_MULTIPLIER, 0
        if mask == 0:
            run.pending_candidate = close.candidate
            # What was said of the last trade says nothing of this one.
            run.ask_from = 0
            place_entry(account, close.time, candidate.side, volume, sl, tp)
    run.phase = OPEN
    return DONE, mask
