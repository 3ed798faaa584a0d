"""The words: plain language, numbers with their units, in the marks of Telegram's HTML."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from alerts.message import QueuedMessage
from alerts.views import AccountView, HealthItem, PerformanceView, PositionView, ProfileView, StatusView, TradeView
from alerts.words import MARKED_KINDS, TITLES, UNKNOWN, moment, money, plain, plain_text, price
from engine.outputs.tables import volume_text

TEXT_LENGTH, CAPTION_LENGTH = 4096, 1024
"""Characters that Telegram takes in a message and under a picture."""
MOST_PIECES = 8
"""Messages that one long text may become."""
SIDES = {1: "long", -1: "short"}
_CUT = "\n… (cut)"


def fitted(marked: str, length: int) -> str:
    """Return HTML that Telegram takes; what is too long loses its marks and its end.

    Telegram counts UTF-16 units of the words, without the marks.
    """
    words = plain_text(marked)
    if _units(words) <= length:
        return marked
    room = length - _units(_CUT)
    cut = words.encode("utf-16-le")[: 2 * room].decode("utf-16-le", "ignore")
    return plain(cut + _CUT)


def pieces(marked: str, length: int) -> list[str]:
    """Return HTML as messages of at most `length` UTF-16 units each, so that none of its words is lost.

    What fits is one message as it is; longer text loses its marks and is divided at its lines and
    words. Beyond `MOST_PIECES` messages the last one is cut.
    """
    words = plain_text(marked)
    if _units(words) <= length:
        return [marked]
    found: list[str] = []
    while len(found) < MOST_PIECES - 1 and _units(words) > length:
        head = words.encode("utf-16-le")[: 2 * length].decode("utf-16-le", "ignore")
        breaks = [at for at in (head.rfind("\n"), head.rfind(" ")) if at > len(head) // 2]
        head = head[: breaks[0] + 1] if breaks else head
        found.append(plain(head))
        words = words[len(head) :]
    return [*found, fitted(plain(words), length)]


def _units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def message_html(message: QueuedMessage) -> str:
    """Return a message as it is sent: its words and, from a queue, the number by which repeats are known."""
    if message.kind in MARKED_KINDS:
        text = message.text
    else:
        title = TITLES.get(message.kind)
        text = plain(message.text) if title is None else f"<b>{title}</b>\n{plain(message.text)}"
    if message.id == 0:
        return text
    again = ", sent again" if message.attempts else ""
    return f"{text}\n<i>№ {message.id}{again}</i>"


def duration(seconds: float) -> str:
    """Return e.g. "2 days 3 h", "4 h 5 min", "6 min"."""
    minutes = max(0, int(seconds // 60))
    days, hours = divmod(minutes // 60, 24)
    if days:
        return f"{days} day{'s' if days > 1 else ''} {hours} h"
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"


def _lines(title: str, pairs: Iterable[tuple[str, str]]) -> str:
    return "\n".join([f"<b>{plain(title)}</b>", *(f"{plain(name)}: {plain(value)}" for name, value in pairs)])


def status_text(view: StatusView, now: int) -> str:
    """Render `/status`."""
    newest = UNKNOWN if view.last_bar is None else f"{moment(view.last_bar)}, {duration(now - view.last_bar)} ago"
    pairs = [
        ("Account", f"{view.account} ({view.mode})"),
        ("Running for", duration(now - view.started)),
        ("Newest bar", newest),
        ("Bars", f"{view.bars_processed:,} processed, {view.bars_missed:,} missed"),
        ("New entries", "; ".join(view.reasons) if view.reasons else "allowed"),
    ]
    return _lines(f"{view.symbol}: {view.state}", pairs)


def account_text(view: AccountView) -> str:
    """Render `/balance`."""
    pairs = [
        ("Balance", money(view.balance)),
        ("Equity", money(view.equity)),
        ("Margin used", money(view.margin)),
        ("Margin free", money(view.free_margin)),
    ]
    return _lines("Account", pairs)


def position_line(view: PositionView) -> str:
    """Render one open position in two lines."""
    return plain(
        f"{view.symbol} {SIDES[view.side]} {volume_text(view.volume)} lots since {moment(view.entry_time)}: "
        f"{money(view.profit, signed=True)}\n"
        f"  entry {price(view.entry_price)}, now {price(view.price)}, "
        f"stop {price(view.stop)}, target {price(view.target)}"
    )


def positions_text(views: Sequence[PositionView]) -> str:
    """Render `/positions`."""
    if not views:
        return "No open position."
    return "\n".join([f"<b>Open positions: {len(views)}</b>", *(position_line(view) for view in views)])


def trades_text(views: Sequence[TradeView]) -> str:
    """Render `/trades`."""
    if not views:
        return "No closed trade yet."
    lines = [
        plain(
            f"{moment(view.exit_time)}: {view.symbol} {SIDES[view.side]} {volume_text(view.volume)} lots, "
            f"{price(view.entry_price)} to {price(view.exit_price)} ({view.exit_reason}), "
            f"{money(view.net, signed=True)}"
        )
        for view in views
    ]
    return "\n".join([f"<b>The last {len(views)} closed trade{'s' if len(views) > 1 else ''}</b>", *lines])


def performance_text(view: PerformanceView) -> str:
    """Render `/performance`."""
    if view.trades == 0:
        return f"No closed trade since {moment(view.since)}."
    rate = f"{view.wins / view.trades:.1%} ({view.wins} of {view.trades})"
    few = "too few trades to say"
    pairs = [
        ("Net result", money(view.net, signed=True)),
        ("Win rate", rate),
        ("Profit factor", few if view.profit_factor is None else f"{view.profit_factor:.2f}"),
        ("Expectancy", few if view.expectancy_r is None else f"{view.expectancy_r:+.2f} R per trade"),
        ("Largest drawdown", UNKNOWN if view.max_drawdown is None else f"{view.max_drawdown:.1%}"),
        ("Longest losing run", f"{view.longest_losing_run} trades"),
        ("Score", few if view.score is None else f"{view.score:.1f}"),
    ]
    return _lines(f"Performance since {moment(view.since)}", pairs)


def profile_text(view: ProfileView) -> str:
    """Render `/profile`."""
    pairs = [
        ("Risk per trade", f"{view.risk_percent:g} % of equity"),
        ("Least confidence", f"{view.confidence:.2f}"),
        ("Stop and target", f"{view.stop_atr:g} and {view.target_atr:g} ATR"),
        ("Daily loss limit", f"{view.daily_loss_percent:g} %"),
        ("Weekly pause", f"{view.weekly_pause_percent:g} % below the week's highest equity"),
        ("Hard halt", f"{view.hard_halt_percent:g} % below {money(view.starting_balance)}"),
    ]
    return _lines(f"Profile {view.name}", pairs)


def health_text(items: Sequence[HealthItem]) -> str:
    """Render `/health`, what is wrong first."""
    wrong = [item for item in items if not item.good]
    title = "All is well" if not wrong else f"{len(wrong)} thing{'s' if len(wrong) > 1 else ''} to look at"
    ordered = [*wrong, *(item for item in items if item.good)]
    return "\n".join(
        [f"<b>{title}</b>"]
        + [f"{'✓' if item.good else '✗'} {plain(item.name)}: {plain(item.detail)}" for item in ordered]
    )
