"""What a bot decides at a close: the engine's `close_bar`, asked with what the bot knows, told as intents.

No rule stands here. The bot says what it sees (the quote and when it was made, a position
without its stop, a person's freeze), hands on the models' answers, and reads the order from
the account record as the backtest does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from engine.bar import ADD, ASK_POSITION, DONE, HOLD, NOBODY, close_bar
from engine.equity import equity_state
from engine.exits import position_inputs, position_verdict
from engine.fills import EXIT_NAMES, rounded
from engine.gates import MARKET_CLOSED
from engine.inputs.models import RiskModel
from engine.outputs.tables import utc_text
from engine.records import Account, Candidate, Close, Guard, Params, Run, new_record, to_text
from novosky.market.bar_arrays import BarArrays
from trading.brokers.port import Position, Quote
from trading.cycle.position_source import PositionSource
from trading.cycle.signal_source import SignalSource
from trading.journal import Decision, Intent

_log = logging.getLogger(__name__)


def quoted_spread(quote: Quote, params: Params) -> float:
    """Return ask minus bid, USD."""
    # The difference carries float noise; spreads lie on the price grid.
    return float(rounded(quote.ask - quote.bid, params.price_scale))


class Decider:
    """Decides at a close.

    Parameters
    ----------
    params : Params
    signals : SignalSource
    positions : PositionSource or None
        Needed when the rules have the position model switched on.
    risk : RiskModel or None
        Without it the size stays as it is.
    stopped : callable
        Tells whether entries are frozen; asked when there is a candidate.
    """

    def __init__(
        self,
        params: Params,
        signals: SignalSource,
        positions: PositionSource | None,
        risk: RiskModel | None,
        stopped: Callable[[], bool],
    ) -> None:
        self._params, self._signals, self._positions, self._risk = params, signals, positions, risk
        self._stopped = stopped

    def decide(
        self,
        account: Account,
        guard: Guard,
        position: Position | None,
        bars: BarArrays,
        quote: Quote,
        close: int,
        *,
        exposed: bool,
    ) -> tuple[Decision, list[Intent]]:
        """Return the decision for the journal and the order it leads to, if any.

        Parameters
        ----------
        account, guard : records
            As they stand at the close; both are changed.
        position : Position or None
            The bot's own at the broker, the one in `account`.
        bars : BarArrays
            The newest closed bars.
        quote : Quote
        close : int
            UTC epoch seconds.
        exposed : bool
            The position has lost its stop or target and could not be given it back.
        """
        # The signal model is not asked in a trade: what it says then is no candidate.
        candidate, atr = self._signals.candidate(bars) if account.side == 0 else (None, None)
        frozen = candidate is not None and self._stopped()
        spread = quoted_spread(quote, self._params)
        due = -1 if candidate is None else 0
        now = Close(0, close, quote.bid, spread, quote.time, due, int(frozen), int(exposed))
        decision = Decision(close, "none" if account.side == 0 else "hold", quote.bid, spread, 0.0, atr=atr)
        told = (account, guard, self._params, new_record(Run), NOBODY[0] if candidate is None else candidate, now)
        # The same records go in again with every answer: the run's knows where the rules stopped.
        question, mask = close_bar(*told, 0.0)
        while question != DONE:
            ask = self._ask_position if question == ASK_POSITION else self._ask_multiplier
            decision, answer = ask(decision, account, guard, bars, now)
            question, mask = close_bar(*told, answer)
        decision = replace(decision, equity=float(guard.equity))
        if candidate is not None:
            self._warn_of_late_quote(candidate, int(mask), now)
            return _entry(decision, candidate, int(mask), account)
        return _exit(decision, position, account)

    def _ask_position(
        self, decision: Decision, account: Account, guard: Guard, bars: BarArrays, now: Close
    ) -> tuple[Decision, float]:
        """Return the decision with the position model's word on the open position, and the answer to the rules."""
        assert self._positions is not None, "the session refuses to start without the model"
        inputs = position_inputs(account, self._params, now.time, now.bid, now.spread)
        opinion = self._positions.opinion(bars, inputs)
        if opinion is None:
            return decision, HOLD
        hold, leave, add = opinion
        answer = float(position_verdict(self._params, hold, leave, add))
        # Of an open position the journal keeps the probability of EXIT and its lead over HOLD.
        decision = replace(decision, side=int(account.side), confidence=leave, gap=leave - hold)
        if answer == ADD:
            _log.info("the position model would add to the open position (%.2f); it is only logged", add)
            decision = replace(decision, action="add")
        return decision, answer

    def _ask_multiplier(
        self, decision: Decision, account: Account, guard: Guard, bars: BarArrays, now: Close
    ) -> tuple[Decision, float]:
        if self._risk is None:
            return decision, 1.0
        multiplier = self._risk.multiplier(equity_state(guard, self._params))
        _log.info("the risk model scales this trade to %.3f of its size", multiplier)
        return replace(decision, multiplier=multiplier), multiplier

    def _warn_of_late_quote(self, candidate: Candidate, mask: int, now: Close) -> None:
        late, most = now.quoted - now.time, int(self._params.entry_valid_seconds)
        if mask == MARKET_CLOSED and candidate.market_open and late > most:
            _log.warning("no entry at %s: the quote came %d s later, %d at most", utc_text(now.time), late, most)


def _exit(decision: Decision, position: Position | None, account: Account) -> tuple[Decision, list[Intent]]:
    reason, close = int(account.pending_exit), decision.bar
    if reason == 0 or position is None:
        return decision, []
    intent = Intent(f"x{close:x}", close, "exit", -position.side, position.volume, 0.0, 0.0, position.ticket, reason)
    return replace(decision, action=f"exit:{EXIT_NAMES[reason]}"), [intent]


def _entry(decision: Decision, candidate: Candidate, mask: int, account: Account) -> tuple[Decision, list[Intent]]:
    decision = replace(
        decision,
        action="blocked" if mask else "entry",
        side=int(candidate.side),
        votes=int(candidate.votes),
        confidence=float(candidate.confidence),
        gap=float(candidate.gap),
        gates=mask,
        candidate=to_text(candidate),
    )
    if mask != 0:
        return decision, []
    sized = (float(account.pending_volume), float(account.pending_sl), float(account.pending_tp))
    intent = Intent(f"e{decision.bar:x}", decision.bar, "entry", int(account.pending_side), *sized, 0, 0)
    return decision, [intent]
