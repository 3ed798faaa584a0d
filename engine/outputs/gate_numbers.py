"""Why a candidate was not traded, with the number that failed and the limit it failed at.

`engine.outputs.reasons` has the words of a gate as such; these say what stood against what at one bar.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from engine.gates import gate_names
from engine.outputs.reasons import GATE_WORDS
from engine.outputs.tables import money_text
from engine.records import Candidate, Guard, Params


@dataclass(frozen=True)
class Refusal:
    """A candidate that was refused, with all that its gates looked at.

    Attributes
    ----------
    candidate : Candidate
    guard : Guard
        After the bar's close.
    params : Params
        In force at that close.
    spread : float
        USD at that close.
    """

    candidate: Candidate
    guard: Guard
    params: Params
    spread: float


def refusal_text(mask: int, refusal: Refusal) -> str:
    """Return the first failing gate of a mask with its number and limit, and how many more failed.

    Parameters
    ----------
    mask : int
        At least one bit over `engine.gates.GATE_NAMES`.
    refusal : Refusal

    Returns
    -------
    str
        For example "confidence 0.58 < 0.62 (+2)".
    """
    first, *more = gate_names(mask)
    spell = _NUMBERS.get(first)
    text = GATE_WORDS[first] if spell is None else spell(refusal)
    return f"{text} (+{len(more)})" if more else text


def _below(name: str, value: float, limit: float, decimals: int) -> str:
    """Return "name value < limit" with as many decimals as it takes to see which is less."""
    while f"{value:.{decimals}f}" == f"{limit:.{decimals}f}" and value != limit and decimals < _MOST_DECIMALS:
        decimals += 1
    sign = "<" if value < limit else ">"
    return f"{name} {value:.{decimals}f} {sign} {limit:.{decimals}f}"


_MOST_DECIMALS = 9


def _confidence(refusal: Refusal) -> str:
    candidate = refusal.candidate
    return _below("confidence", candidate.confidence, refusal.params.confidence[candidate.session], 2)


def _news(refusal: Refusal) -> str:
    if refusal.candidate.news_minutes < 0.0:
        return "no news calendar is known (news.missing: block)"
    return f"news in {refusal.candidate.news_minutes:.0f} min < {refusal.params.news_minutes:.0f}"


def _trend(refusal: Refusal) -> str:
    distance = refusal.candidate.ema_distance
    return f"{abs(distance):.1f} ATR {'above' if distance > 0.0 else 'below'} EMA200"


def _day(refusal: Refusal) -> str:
    guard, most = refusal.guard, refusal.params.max_daily_loss * refusal.guard.day_equity
    return f"day {guard.equity - guard.day_equity:+.2f} < -{money_text(most)}"


def _week(refusal: Refusal) -> str:
    guard, most = refusal.guard, refusal.params.max_weekly_drawdown * refusal.guard.week_peak
    return f"week {guard.equity - guard.week_peak:+.2f} < -{money_text(most)}"


def _halt(refusal: Refusal) -> str:
    least = refusal.params.starting_balance * (1.0 - refusal.params.max_total_drawdown)
    return f"hard halt, limit {money_text(least)}"


_NUMBERS: dict[str, Callable[[Refusal], str]] = {
    "market_closed": lambda _: "market closed",
    "model_agreement": lambda r: f"models agreed {int(r.candidate.votes)} < {int(r.params.min_votes)}",
    "session_conf": _confidence,
    "probability_gap": lambda r: _below("lead", r.candidate.gap, r.params.min_gap, 2),
    "atr_floor": lambda r: _below("ATR", r.candidate.atr, r.params.min_atr, 2),
    "spread": lambda r: _below("spread", r.spread, r.params.max_spread_atr * r.candidate.atr, 2),
    "news_block": _news,
    "ema_trend": _trend,
    "adx_regime": lambda r: _below("ADX", r.candidate.adx, r.params.min_adx, 1),
    "circuit_breaker": lambda r: f"losses {int(r.guard.day_losses)}, limit {int(r.params.max_consecutive_losses)}",
    "daily_loss": _day,
    "weekly_drawdown": _week,
    "hard_halt": _halt,
    "frozen": lambda _: "frozen or paused",
    "stops_level": lambda _: "stop too near",
    "volume": lambda r: f"too large at {r.params.volume_min:g} lots",
    "margin": lambda _: "too little margin",
}
"""How a gate's number and limit are told; short, because a bar's line has to fit."""
