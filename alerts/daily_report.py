"""The daily report: yesterday in one message with a picture of the equity."""

from __future__ import annotations

import io
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from alerts.message import Message
from alerts.views import AccountSnapshot, TradeView
from alerts.words import UNKNOWN, money, plain, price
from novosky.errors import StorageError
from novosky.files import write_bytes

DAY_SECONDS = 86_400
TRADES_LISTED = 5


_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DailyReport:
    """One UTC day.

    Attributes
    ----------
    day : int
        Its midnight, UTC epoch seconds.
    trades : sequence of TradeView
        Closed on that day, oldest first.
    equity : sequence of AccountSnapshot
        In order of time; those before the day are drawn, too.
    notes : sequence of str
        What else happened, e.g. limits reached, bars missed, the state of the news calendar.
    """

    day: int
    trades: Sequence[TradeView]
    equity: Sequence[AccountSnapshot]
    notes: Sequence[str] = ()


def day_of(now: float) -> int:
    """Return the midnight that began the last full UTC day before `now`."""
    return (math.floor(now) // DAY_SECONDS - 1) * DAY_SECONDS


def report_key(day: int) -> str:
    """Return the outbox key of a day's report: however often it is queued, it is sent once."""
    return f"daily:{_date(day)}"


def _date(day: int) -> str:
    return datetime.fromtimestamp(day, tz=UTC).strftime("%Y-%m-%d")


def report_text(report: DailyReport) -> str:
    """Return the report in HTML, short enough for the text under a picture."""
    lines = [f"<b>Daily report {_date(report.day)}</b>"]
    today = [each for each in report.equity if report.day <= each.time <= report.day + DAY_SECONDS]
    if today:
        change = today[-1].equity - today[0].equity
        share = f" ({change / today[0].equity:+.2%})" if today[0].equity > 0 else ""
        lines.append(f"Equity: {money(today[-1].equity)}, {money(change, signed=True)}{share}")
        lines.append(f"Balance: {money(today[-1].balance)}")
        lines.append(f"Deepest fall within the day: {_deepest_fall(today):.2%}")
    else:
        lines.append(f"Equity: {UNKNOWN}, the bot was not running")
    if report.trades:
        net, wins = sum(trade.net for trade in report.trades), sum(trade.net > 0 for trade in report.trades)
        lines.append(f"Trades: {len(report.trades)}, {wins} won, net {money(net, signed=True)}")
        lines += [_trade_line(trade) for trade in report.trades[-TRADES_LISTED:]]
        if len(report.trades) > TRADES_LISTED:
            lines.append(f"  and {len(report.trades) - TRADES_LISTED} earlier ones")
    else:
        lines.append("Trades: none")
    lines += [f"Note: {plain(note)}" for note in report.notes]
    return "\n".join(lines)


def _trade_line(trade: TradeView) -> str:
    clock = datetime.fromtimestamp(trade.exit_time, tz=UTC).strftime("%H:%M")
    side = "long" if trade.side > 0 else "short"
    return plain(
        f"  {clock} {side} {price(trade.entry_price)} to {price(trade.exit_price)} "
        f"({trade.exit_reason}), {money(trade.net, signed=True)}"
    )


def _deepest_fall(equity: Sequence[AccountSnapshot]) -> float:
    """Return the largest fall from a high, as a fraction of that high."""
    peak, deepest = -math.inf, 0.0
    for each in equity:
        peak = max(peak, each.equity)
        if peak > 0:
            deepest = max(deepest, 1.0 - each.equity / peak)
    return deepest


def equity_chart(equity: Sequence[AccountSnapshot], title: str) -> bytes:
    """Return a PNG of equity and balance over time (UTC).

    Raises
    ------
    ValueError
        With fewer than two snapshots there is no line to draw.
    """
    if len(equity) < 2:
        raise ValueError("a chart needs at least two snapshots of the account")
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.figure import Figure

    # Without pyplot there is no global state, no display, and any thread may draw.
    figure = Figure(figsize=(8, 4), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    times = np.array([each.time for each in equity], dtype="datetime64[s]")
    balances = [each.balance for each in equity]
    axes.plot(times, balances, color="0.6", linewidth=1.0, drawstyle="steps-post", label="balance")
    axes.plot(times, [each.equity for each in equity], color="tab:blue", linewidth=1.4, label="equity")
    locator = AutoDateLocator(tz=UTC)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=UTC))  # type: ignore[no-untyped-call]
    axes.set_title(title)
    axes.set_ylabel("USD")
    axes.grid(alpha=0.3)
    axes.legend(loc="best", frameon=False)
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return stream.getvalue()


def daily_message(report: DailyReport, folder: Path, now: float) -> Message:
    """Draw the chart and return the message for the outbox.

    Parameters
    ----------
    report : DailyReport
    folder : Path
        Where the picture is kept until it is sent, and after.
    now : float
        UTC epoch seconds.

    """
    attachment = None
    if len(report.equity) >= 2:
        path = folder / f"equity-{_date(report.day)}.png"
        try:
            write_bytes(path, equity_chart(report.equity, f"Account until {_date(report.day)}, UTC"))
            attachment = str(path)
        except StorageError as error:
            # The words are what matters, and the bot may hold a position.
            _log.warning("the daily report goes without its picture: %s", error)
    return Message(report_key(report.day), "report", report_text(report), math.floor(now), attachment)
