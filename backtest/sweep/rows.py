"""One configuration after another through the compiled engine, and the figures each leaves.

The rules are the engine's (`engine.history.advance`), the figures those of
`backtest.metrics` and `novosky.measures.statistics`; nothing here decides a trade or defines a figure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from backtest.sweep.inputs import Opinions, SweepInputs
from backtest.sweep.risk import RiskTrees, tree_multiplier
from backtest.trade_results import net_results, r_multiples, returns_and_risks
from engine.bar import ASK_POSITION, DONE, LEAVE, hold_until
from engine.breakers import start_guard
from engine.equity import equity_state
from engine.exits import first_exit
from engine.gates import failing_gates
from engine.history import advance
from engine.records import Account, Block, Candidate, Guard, Params, Run, Trade, Window, new_record, new_records
from novosky.compiled import compiled
from novosky.measures.score import MIN_TRADES, at_equal_risk, score_of
from novosky.measures.selection import SPLITS, block_sums
from novosky.measures.statistics import Floats, Ints, mean_known, profit_factor, relative_changes, sharpe_ratio

FIGURES = (
    "score",
    "trades",
    "win_rate",
    "profit_factor",
    "expectancy_r",
    "max_drawdown",
    "max_drawdown_at_1pct",
    "score_at_equal_risk",
    "total_return",
    "sharpe",
    "end_balance",
    "exposure",
    "halted",
    "open_at_end",
)
"""Columns of a row; NaN is unknown. Then come the block sums and sums of squares of the daily returns."""
COLUMNS = len(FIGURES) + 2 * SPLITS

_FINISHED = 0
_UNANSWERED = 1
_hold_until = compiled(hold_until)


@compiled
def pass_gates(
    candidates: npt.NDArray[Any], guard: Guard, params: Params, spreads: npt.NDArray[Any], passed: npt.NDArray[np.int64]
) -> int:
    """Write the candidates that the gates let through while nothing is wrong with the account; return their number.

    The others are blocked whatever the account does. An idle account does not change from bar to
    bar, so leaving them out changes no trade.
    """
    count = 0
    for at in range(len(candidates)):
        candidate = candidates[at]
        if failing_gates(candidate, guard, params, spreads[candidate.bar], 0) == 0:
            passed[count] = at
            count += 1
    return count


@compiled
def take_candidates(
    candidates: npt.NDArray[Any], passed: npt.NDArray[np.int64], sl_mult: float, tp_mult: float, taken: npt.NDArray[Any]
) -> None:
    """Copy the candidates that passed, with this bracket unless it is NaN."""
    for at in range(len(passed)):
        taken[at] = candidates[passed[at]]
        if not np.isnan(sl_mult):
            taken[at].sl_mult = sl_mult
            taken[at].tp_mult = tp_mult


@compiled
def trade_through(
    account: Account,
    guard: Guard,
    params: Params,
    run: Run,
    candidates: npt.NDArray[Any],
    window: Window,
    passed: npt.NDArray[np.int64],
    bracket: int,
    opinions: Opinions,
    trees: RiskTrees,
) -> int:
    """Run the engine to the end, answering its questions from the opinions and the trees.

    Returns
    -------
    int
        `_FINISHED`, or `_UNANSWERED` when the table knows nothing of a trade that was made.
    """
    reply = 0.0
    while True:
        question = advance(account, guard, params, run, candidates, window, reply)
        if question == DONE:
            return _FINISHED
        if question == ASK_POSITION:
            trade = passed[run.pending_candidate]
            if bracket >= len(opinions.until) or run.bar >= opinions.until[bracket, trade]:
                return _UNANSWERED
            begin, end = opinions.begin[bracket, trade], opinions.end[bracket, trade]
            leave = first_exit(params, opinions.rows[begin:end], opinions.probabilities[begin:end], run.bar)
            if leave == run.bar:
                reply = LEAVE
            else:
                reply = _hold_until(leave if leave > run.bar else opinions.until[bracket, trade])
        else:
            reply = 1.0
            if len(trees.root) > 0:
                reply = tree_multiplier(equity_state(guard, params), trees)
                if np.isnan(reply):
                    return _UNANSWERED


@dataclass(frozen=True, eq=False)
class _Desk:
    """Room for one configuration at a time, used again for the next."""

    taken: npt.NDArray[Any]
    trades: npt.NDArray[Any]
    blocks: npt.NDArray[Any]
    equity: Floats


@dataclass(frozen=True, eq=False)
class _Outcome:
    """What one configuration leaves behind; `trades` is overwritten by the next."""

    trades: npt.NDArray[Any]
    account: Account
    guard: Guard
    run: Run


class RowRunner:
    """Runs rows of a sweep.

    Parameters
    ----------
    inputs : SweepInputs
        With writable arrays.
    """

    def __init__(self, inputs: SweepInputs) -> None:
        self._inputs = inputs
        count = len(inputs.candidates)
        self._desk = _Desk(
            taken=new_records(Candidate, count),
            trades=new_records(Trade, count + 2),
            blocks=new_records(Block, count + 1),
            equity=np.empty(len(inputs.bars.time)),
        )
        self._blank = new_record(Guard)
        self._passed: tuple[int, Ints] = (-1, np.empty(0, np.int64))
        self._room = np.empty(count, np.int64)

    def passed(self, row: int) -> Ints:
        """Return the candidates that a row's gates let through, kept for the next row with the same gates."""
        gate = int(self._inputs.gates[row])
        if self._passed[0] != gate:
            inputs = self._inputs
            params = inputs.params[row]
            count = pass_gates(inputs.candidates, self._blank, params, inputs.bars.spread, self._room)
            self._passed = (gate, self._room[:count].copy())
        return self._passed[1]

    def run(self, rows: Ints) -> tuple[Floats, Floats]:
        """Run rows and measure them.

        Returns
        -------
        (ndarray, ndarray)
            Figures, shape (rows, len(FIGURES)), and daily returns, shape (rows, days).
        """
        inputs = self._inputs
        figures = np.empty((len(rows), len(FIGURES)))
        closing = np.empty((len(rows), len(inputs.closes) + 1))
        closing[:, 0] = inputs.balance[0]
        outcomes = []
        for at, row in enumerate(rows.tolist()):
            outcome = self._trade(row)
            closing[at, 1:] = self._desk.equity[inputs.closes]
            figures[at] = self._measure(outcome)
            outcomes.append(outcome)
        daily = relative_changes(closing)
        sharpe = FIGURES.index("sharpe")
        for at in range(len(rows)):
            figures[at, sharpe] = _known(sharpe_ratio(daily[at]))
        return figures, daily

    def _trade(self, row: int) -> _Outcome:
        inputs, desk = self._inputs, self._desk
        passed = self.passed(row)
        taken = desk.taken[: len(passed)]
        take_candidates(inputs.candidates, passed, inputs.brackets[row, 0], inputs.brackets[row, 1], taken)
        params = inputs.params[row]
        account, guard, run = new_record(Account), new_record(Guard), new_record(Run)
        account.balance = float(inputs.balance[0])
        start_guard(guard, params, int(inputs.bars.time[0]), account.balance)
        run.peak, run.pending_candidate = guard.equity, -1
        window = Window(inputs.bars, inputs.minutes, inputs.rollovers, desk.trades, desk.blocks, desk.equity)
        verdict = trade_through(
            account,
            guard,
            params,
            run,
            taken,
            window,
            passed,
            int(inputs.bracket_of[row]),
            inputs.opinions,
            inputs.trees,
        )
        if verdict != _FINISHED:
            raise RuntimeError(
                f"configuration {row} asked about a trade at bar {run.bar} that no model was asked about"
            )
        return _Outcome(desk.trades[: account.closed], account, guard, run)

    def _measure(self, outcome: _Outcome) -> list[float]:
        """Return the figures of a row in the order of `FIGURES`; the Sharpe ratio is filled in later."""
        net = net_results(outcome.trades)
        count = len(net)
        win_rate = int(np.count_nonzero(net > 0.0)) / count if count else None
        factor = profit_factor(net)
        drawdown = float(outcome.run.max_drawdown)
        score = None
        if count >= MIN_TRADES and win_rate is not None and factor is not None:
            score = score_of(win_rate, factor, drawdown)
        equal = at_equal_risk(*returns_and_risks(outcome.trades))
        bars, start = len(self._inputs.bars.time), float(self._inputs.balance[0])
        return [
            _known(score),
            float(count),
            _known(win_rate),
            _known(factor),
            _known(mean_known(r_multiples(outcome.trades))),
            drawdown,
            np.nan if equal is None else equal.max_drawdown,
            _known(None if equal is None else equal.score),
            float(self._desk.equity[-1]) / start - 1.0,
            np.nan,
            float(outcome.account.balance),
            int(outcome.run.bars_in_market) / bars,
            float(outcome.guard.halted != 0),
            float(outcome.account.side != 0),
        ]


def _known(value: float | None) -> float:
    return np.nan if value is None else value


def run_rows(inputs: SweepInputs, rows: Ints) -> Floats:
    """Return one line per row: `FIGURES`, then sums and sums of squares of its daily returns by block of time.

    Returns
    -------
    ndarray, shape (rows, COLUMNS)
    """
    figures, daily = RowRunner(inputs).run(rows)
    sums, squares, _ = block_sums(daily)
    return np.concatenate((figures, sums, squares), axis=1)
