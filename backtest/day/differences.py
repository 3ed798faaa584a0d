"""Differences between a live day and its replay in USD: every cent has a place and a name.

Positions are paired by the close they were decided at and their side. What only one of the two
has is traced to what differed at that close; when the other was still in a position there, to
whatever had made that position differ. A pair is taken apart in money: size, costs, entry and
exit price; what its own prices do not explain stays unexplained.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from backtest.day.live_day import OPEN, Held, JournalDay, exact_usd, is_refused
from engine.fills import EXIT_HALT, EXIT_MANUAL, EXIT_MODEL, EXIT_NAMES
from engine.gates import gate_names
from engine.outputs.tables import SIDE_NAMES, utc_text, volume_text
from engine.records import Candidate, Params, from_text

SIGNAL, GATE, PRICE, COST, MISSED, UNEXPLAINED = "signal", "gate", "price", "cost", "missed", "unexplained"
CATEGORIES = (SIGNAL, GATE, PRICE, COST, MISSED, UNEXPLAINED)
ROUNDING = Decimal("0.03")
"""Up to here the cents that several roundings leave over are no finding of their own."""
_JUDGED = ("side", "votes", "confidence", "gap", "atr", "sl_mult", "tp_mult")
"""What the models say of a bar; the rest of a candidate only feeds the gates."""

Row = Mapping[str, Any]
Cause = tuple[str, str]


@dataclass(frozen=True)
class Difference:
    """One thing that live and replay did differently.

    Attributes
    ----------
    category : str
        One of CATEGORIES.
    bar : int
        Close of the bar, UTC epoch seconds.
    words : str
    usd : Decimal
        Live minus replay.
    r : Fraction
        The same in risks of the trade.
    """

    category: str
    bar: int
    words: str
    usd: Decimal = Decimal(0)
    r: Fraction = Fraction(0)


@dataclass(frozen=True)
class Replayed:
    """What the replay decided and held.

    Attributes
    ----------
    closes : sequence of int
        Closes of the day's bars.
    candidates : mapping
        Close to candidate.
    blocks : mapping
        Close to the mask of failing gates.
    positions : sequence of Held
    """

    closes: Sequence[int]
    candidates: Mapping[int, Candidate]
    blocks: Mapping[int, int]
    positions: Sequence[Held]


class Comparison:
    """Compares a day of the journal with its replay.

    Parameters
    ----------
    day : JournalDay
    live : sequence of Held
    replayed : Replayed
    params : Params
        Of the replay: what a lot is worth, how sums are booked, how long a bar lasts.

    Attributes
    ----------
    differences : list of Difference
        In order of time.
    live_r, replay_r : Fraction
        Both results in risks of their trades; a pair is measured by the replay's risk.
    """

    def __init__(self, day: JournalDay, live: Sequence[Held], replayed: Replayed, params: Params) -> None:
        self._day, self._replayed = day, replayed
        self._units, self._money_scale = params.lot_units, params.money_scale
        self._bar_seconds = int(params.bar_seconds)
        self._rows = day.decisions
        self._entries, self._exits = day.intents_of("entry"), day.intents_of("exit")
        self._live = {held.key: held for held in live}
        self._replay = {held.key: held for held in replayed.positions}
        self._causes: dict[tuple[int, int], Cause] = {}
        self._latest: Cause | None = None
        self.live_r = self.replay_r = Fraction(0)
        self.differences: list[Difference] = []
        for key in sorted(self._live.keys() | self._replay.keys()):
            self._compare_positions(key, self._live.get(key), self._replay.get(key))
        self._add_silent_bars()
        self.differences.sort(key=lambda each: (each.bar, CATEGORIES.index(each.category)))

    def _compare_positions(self, key: tuple[int, int], live: Held | None, replay: Held | None) -> None:
        measure = replay or live
        assert measure is not None
        risk = self._risk(measure)
        self.live_r += Fraction(live.net) / risk if live else 0
        self.replay_r += Fraction(replay.net) / risk if replay else 0
        if live and replay:
            parts = self._parts(live, replay)
        else:
            category, words = self._only_live(live) if live else self._only_replay(key)
            parts = [Difference(category, key[0], words, live.net if live else -measure.net)]
            self._note(key, (category, words))
        self.differences += [
            Difference(part.category, part.bar, part.words, part.usd, Fraction(part.usd) / risk) for part in parts
        ]

    def _risk(self, held: Held) -> Fraction:
        # Never below what is booked: a stop at the entry price would make every result infinite.
        risk = exact_usd(abs(held.entry_price - held.sl) * held.volume * self._units, self._money_scale)
        return Fraction(max(risk, Decimal(1) / round(self._money_scale)))

    def _note(self, key: tuple[int, int], cause: Cause) -> None:
        self._causes[key] = cause
        self._latest = cause

    def _only_replay(self, key: tuple[int, int]) -> Cause:
        close = key[0]
        if close not in self._rows:
            return MISSED, f"{_side(key)} not taken: the bot did not process this bar"
        held = _held_at(self._live, close)
        if held is not None:
            return self._inherited(held, f"{_side(key)} not taken: live was still in a position")
        cause = self.difference_at(close)
        if cause is None:
            return UNEXPLAINED, f"{_side(key)} of the replay has no counterpart"
        return cause[0], f"{_side(key)} not taken: {cause[1]}"

    def _only_live(self, live: Held) -> Cause:
        close = live.decided
        held = _held_at(self._replay, close)
        if held is not None:
            return self._inherited(held, f"{_side(live.key)} taken: the replay was still in a position")
        cause = self.difference_at(close) if close in self._rows else None
        if cause is None:
            return UNEXPLAINED, f"{_side(live.key)} of the journal has no counterpart"
        return cause[0], f"{_side(live.key)} taken: {cause[1]}"

    def _inherited(self, held: Held, words: str) -> Cause:
        cause = self._causes.get(held.key)
        if cause is None:
            return UNEXPLAINED, words
        return cause[0], f"{words} ({cause[1]})"

    def difference_at(self, close: int) -> Cause | None:
        """Return what the two saw or let through differently at a close, None when nothing."""
        row = self._rows.get(close)
        if row is None:
            return MISSED, "the bot did not process this bar"
        intent, replayed = self._entries.get(close), gate_names(self._replayed.blocks.get(close, 0))
        failed = (row["gates"] or "").split()
        live = None if row["candidate"] is None else from_text(Candidate, row["candidate"])
        words = _unlike(live, self._replayed.candidates.get(close))
        if words is not None and close > self._day.start:
            return SIGNAL, words
        if is_refused(intent) and close < self._day.end:
            return None if replayed == failed and row["gates"] is not None else (MISSED, _refusal(intent))
        if replayed != failed and close > self._day.start:
            return GATE, _gate_words(failed, replayed)
        return None

    def _parts(self, live: Held, replay: Held) -> list[Difference]:
        """Take the difference of a pair apart; the parts add up to it."""
        total, entered, left = live.net - replay.net, live.decided, self._end_bar(live)
        share = live.volume / replay.volume
        size = (
            exact_usd((share - 1.0) * float(replay.net), self._money_scale)
            if live.volume != replay.volume
            else Decimal(0)
        )
        cost = live.commission + live.swap - _scaled(replay.commission + replay.swap, share, self._money_scale)
        scale = live.side * live.volume * self._units
        entry = exact_usd((replay.entry_price - live.entry_price) * scale, self._money_scale)
        exit_ = exact_usd((live.exit_price - replay.exit_price) * scale, self._money_scale)
        parts = []
        if size:
            parts.append(Difference(*self._size_cause(live, replay, entered, size)))
        if cost:
            words = f"commission {live.commission:+} and swap {live.swap:+} against {replay.commission:+} and "
            parts.append(Difference(COST, left, f"{words}{replay.swap:+} USD", cost))
        if entry:
            words = f"entry at {live.entry_price:.2f} against {replay.entry_price:.2f}"
            parts.append(Difference(PRICE, entered, words, entry))
        if exit_ or not self._ends_alike(live, replay):
            category, bar, words = self._exit_cause(live, replay)
            parts.append(Difference(category, bar, words, exit_))
            self._note(live.key, (category, words))
        elif parts:
            self._latest = parts[-1].category, parts[-1].words
        return _with_rest(parts, total, left)

    def _size_cause(self, live: Held, replay: Held, close: int, usd: Decimal) -> tuple[str, int, str, Decimal]:
        words = f"size {volume_text(live.volume)} against {volume_text(replay.volume)} lots"
        intent, cause = self._entries.get(close), self.difference_at(close)
        if intent is not None and intent["volume"] != live.volume:
            return MISSED, close, f"{words}: only a part of the order was executed", usd
        if cause is None and self._rows.get(close, {}).get("price") is not None:
            # The same candidate through the same gates: what came before has changed the account.
            cause = self._latest
        return (cause[0], close, f"{words} ({cause[1]})", usd) if cause else (UNEXPLAINED, close, words, usd)

    def _exit_cause(self, live: Held, replay: Held) -> tuple[str, int, str]:
        """Return why a pair ended differently, by what ended first."""
        words = f"{_ending(live)} against {_ending(replay)}"
        first = min((live, replay), key=self._end_bar)
        bar = self._end_bar(first)
        ordered = (
            replay
            if replay.reason in (EXIT_MODEL, EXIT_HALT) and self._end_bar(replay) <= self._end_bar(live)
            else None
        )
        if live.reason == replay.reason and self._end_bar(live) == self._end_bar(replay):
            return (PRICE, bar, words) if _same_bracket(live, replay) else (*self._bracket_cause(live), words)
        if ordered is not None:
            if bar not in self._rows:
                return MISSED, bar, f"{words}: the bot did not process this bar"
            if is_refused(self._exits.get(bar)):
                return MISSED, bar, f"{words}: {_refusal(self._exits[bar])}"
        for held in (first, live, replay):
            if held.reason == EXIT_MODEL:
                return SIGNAL, bar, f"{words}: the position model answered differently"
            if held.reason == EXIT_HALT:
                return GATE, bar, f"{words}: the hard halt"
            if held.reason == EXIT_MANUAL:
                return UNEXPLAINED, bar, f"{words}: closed by hand"
        return (PRICE, bar, words) if _same_bracket(live, replay) else (*self._bracket_cause(live), words)

    def _bracket_cause(self, live: Held) -> tuple[str, int]:
        cause = self.difference_at(live.decided)
        # The same models' word and other levels: they were measured from another price.
        return (cause[0] if cause is not None and cause[0] == SIGNAL else PRICE), live.decided

    def _end_bar(self, held: Held) -> int:
        """Return the close of the bar after which the position was gone; an order's exit counts to its decision."""
        if held.exit_time is None:
            return 2**62
        begun = held.exit_time // self._bar_seconds * self._bar_seconds
        return begun if held.reason in (EXIT_MODEL, EXIT_HALT) else begun + self._bar_seconds

    def _ends_alike(self, live: Held, replay: Held) -> bool:
        same_bar = self._end_bar(live) == self._end_bar(replay)
        return live.reason == replay.reason and same_bar and live.exit_price == replay.exit_price

    def _add_silent_bars(self) -> None:
        """List what differed without touching money; neighbouring missed bars as one."""
        told = {(each.category, each.bar) for each in self.differences}
        missed: list[int] = []
        for close in [*self._replayed.closes, None]:
            if close is not None and close not in self._rows:
                missed.append(close)
                continue
            if missed:
                words = f"{len(missed)} bar(s) not processed, until {utc_text(missed[-1])}"
                self.differences.append(Difference(MISSED, missed[0], words))
                missed = []
            if close is None or _held_at(self._live, close) or _held_at(self._replay, close):
                continue
            cause = self.difference_at(close)
            if cause is not None and (cause[0], close) not in told:
                self.differences.append(Difference(cause[0], close, cause[1]))


def _with_rest(parts: list[Difference], total: Decimal, bar: int) -> list[Difference]:
    rest = total - sum((part.usd for part in parts), Decimal(0))
    if rest == 0:
        return parts
    if parts and abs(rest) <= ROUNDING:
        last = parts[-1]
        return [*parts[:-1], Difference(last.category, last.bar, last.words, last.usd + rest)]
    return [*parts, Difference(UNEXPLAINED, bar, "the booked result does not follow from the prices", rest)]


def _scaled(usd: Decimal, share: float, money_scale: float) -> Decimal:
    return usd if share == 1.0 else exact_usd(float(usd) * share, money_scale)


def _held_at(positions: Mapping[tuple[int, int], Held], close: int) -> Held | None:
    return next((held for held in positions.values() if held.held_at(close)), None)


def _same_bracket(live: Held, replay: Held) -> bool:
    return (live.sl, live.tp) == (replay.sl, replay.tp)


def _unlike(live: Candidate | None, replay: Candidate | None) -> str | None:
    if live is None and replay is None:
        return None
    if live is None or replay is None:
        one, name = (replay, "the replay") if live is None else (live, "live")
        assert one is not None
        return f"only {name} saw a {SIDE_NAMES[int(one.side)]} candidate ({one.confidence:.3f})"
    for name in _JUDGED:
        seen, again = float(getattr(live, name)), float(getattr(replay, name))
        if not math.isclose(seen, again, rel_tol=1e-6, abs_tol=1e-9):
            if name == "side":
                return f"candidate {SIDE_NAMES[int(seen)]} against {SIDE_NAMES[int(again)]}"
            return f"candidate with {name} {seen:.6g} against {again:.6g}"
    return None


def _gate_words(live: list[str], replay: list[str]) -> str:
    only = [f"{name} blocked live only" for name in live if name not in replay]
    return ", ".join(only + [f"{name} blocked the replay only" for name in replay if name not in live])


def _refusal(intent: Row | None) -> str:
    assert intent is not None
    word, code = intent["outcome"], intent["broker_code"]
    if word is None:
        return "the order has no outcome"
    return f"the order was refused ({word}{f', {code}' if code else ''})"


def _side(key: tuple[int, int]) -> str:
    return SIDE_NAMES[key[1]]


def _ending(held: Held) -> str:
    if held.reason == OPEN:
        return f"open at {held.exit_price:.2f}"
    return f"{EXIT_NAMES[held.reason]} at {held.exit_price:.2f}"
