"""Whether this is still the bot that was approved: its trades against what its set earned out of sample.

The test may be looked at as often as one likes (`novosky.measures.sequential`); what it has once
shown stays shown. It belongs to the set in place: with the next one the trades are counted anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from alerts.message import Message
from alerts.views import HealthItem
from ml.sets.expectation import read_expectation
from novosky.errors import ModelError
from novosky.market.timeframe import DAY_SECONDS
from novosky.measures.score import MIN_TRADES
from novosky.measures.sequential import FALSE_ALARMS, Reference, Trial, lower_bound
from trading.reports.performance import trades_of_records, trial_since

TITLE = "Still the bot"


def reference_of_set(models: Path) -> Reference | None:
    """Return what the set in place was approved with, None where no record says so.

    Trades count that were closed after the last day of the record: the set had not been traded before.

    Raises
    ------
    ModelError
        The record is damaged.
    """
    record = read_expectation(models)
    if record is None or len(record.r) < MIN_TRADES:
        return None
    since = float((record.last_day + 1) * DAY_SECONDS)
    return Reference(lower_bound(record.r), float(record.r.mean()), len(record.r), since, "its expectation.json")


def reference_or_none(models: Path) -> Reference | None:
    """Return the same; a damaged record, which the start has told, is none."""
    try:
        return reference_of_set(models)
    except ModelError:
        return None


def claim_words(trial: Trial) -> str:
    """Return in a sentence how the claim stands."""
    enough, claim = 1.0 / FALSE_ALARMS, trial.reference
    if trial.mean_r is None:
        return f"no trade yet; approved with at least {claim.least_r:+.2f} R a trade"
    stands = (
        f"{trial.trades} trades with {trial.mean_r:+.2f} R in the mean, approved with at least {claim.least_r:+.2f} R"
    )
    if trial.failed:
        return f"NO: {stands}; so bad a run by luck has a chance below {FALSE_ALARMS:.0%}"
    return f"{stands}; evidence against it {trial.evidence:.1f}, {enough:.0f} is enough"


class ClaimWatch:
    """Keeps the claim of a set on trial with the trades of a journal.

    Parameters
    ----------
    trades : callable
        Returns the journal's closed trades, oldest first.
    reference : Reference or None
        None where nobody has recorded what the set was approved with: then nothing is ever said.
    """

    def __init__(self, trades: Callable[[], Sequence[str]], reference: Reference | None) -> None:
        self._trades, self._reference = trades, reference
        self._known: tuple[tuple[int, str], Trial] | None = None

    def trial(self) -> Trial | None:
        """Return how the claim stands now; None without one."""
        if self._reference is None:
            return None
        records = self._trades()
        mark = len(records), records[-1] if records else ""
        if self._known is None or self._known[0] != mark:
            self._known = mark, trial_since(trades_of_records(records), self._reference)
        return self._known[1]

    def health(self) -> list[HealthItem]:
        """Return the claim as one thing that is well or is not; nothing without one."""
        trial = self.trial()
        return [] if trial is None else [HealthItem(TITLE, not trial.failed, claim_words(trial))]

    def notes(self) -> list[str]:
        """Return what the daily report says of it."""
        trial = self.trial()
        return [] if trial is None else [f"still the bot that was approved? {claim_words(trial)}"]

    def alarm(self, moment: int) -> Message | None:
        """Return the message for people once the claim has failed; its key lets it be told once for a set.

        Parameters
        ----------
        moment : int
            UTC epoch seconds.
        """
        trial = self.trial()
        if trial is None or not trial.failed:
            return None
        text = (
            f"this is not the bot that was approved any more: {claim_words(trial).removeprefix('NO: ')}. "
            "Pause it, trade less, or get newer models"
        )
        return Message(f"another-bot:{int(trial.reference.since)}", "risk", text, moment)
