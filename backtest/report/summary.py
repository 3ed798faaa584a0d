"""What a backtest says of itself, in rows of words that console and report share, and the console's tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain, zip_longest

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from backtest.benchmarks import Band, BuyAndHold, RandomEntry
from backtest.metrics import Assumptions, Metrics
from backtest.report.figure_formats import (
    UNKNOWN,
    dollars,
    factor_words,
    interval,
    number,
    percent,
    positive_zero,
    signed_percent,
)
from engine.outputs.reasons import EXIT_WORDS, GATE_WORDS
from novosky.in_sample import MARK, banner, is_in_sample
from novosky.market.costs import Fees
from novosky.measures.score import DRAWDOWN_FLOOR, MIN_TRADES
from novosky.measures.statistics import MIN_DAYS

TOO_SHORT = f"yearly figures need {MIN_DAYS} days"
_PLAIN_WIDTH = 80
_UNBOUNDED_WIDTH = 1_000
# Its names, and room beside them for any one word of what is assumed.
_ASSUMPTION_WIDTH = 40
_BENCHMARK_HEADERS = ("strategy", "median", "5-95 %", "percentile")
BAND_STYLES = {
    "pause": "bold red",
    "below target": "bold yellow",
    "production grade": "bold green",
    "excellent": "bold bright_green",
}

Row = tuple[str, str]
Section = tuple[str, list[Row]]
Formatter = Callable[[float | None], str]


@dataclass(frozen=True)
class Notice:
    """Something the reader must know before the figures.

    Attributes
    ----------
    text : str
    severe : bool
        The figures must not be acted on.
    """

    text: str
    severe: bool


def notices(metrics: Metrics) -> list[Notice]:
    """Return the warnings of a run, the severe ones first.

    A run that overlaps training is severe whether or not a label says so.
    """
    severe = [label for label in metrics.labels if is_in_sample(label)]
    if metrics.oos is False and not severe:
        severe.append(
            f"{MARK}: the window starts at {stamp(metrics.start)}, but training saw bars up to "
            f"{stamp(metrics.train_cutoff or UNKNOWN)}; these results say nothing about the future. Use --oos-only."
        )
    mild = [label for label in metrics.labels if not is_in_sample(label)]
    if metrics.score is None:
        mild.append(f"Too few trades: {metrics.trades} of at least {MIN_TRADES}; no score to act on.")
    elif metrics.max_drawdown < DRAWDOWN_FLOOR:
        mild.append(
            f"The score counts a drawdown of {percent(DRAWDOWN_FLOOR)}, its floor; the deepest was "
            f"{percent(metrics.max_drawdown, 2)}, too little to judge by."
        )
    # A drawdown is a share of the peak: beyond all of it, equity is negative.
    if metrics.max_drawdown > 1.0:
        mild.append("Equity went below zero: the account owed its broker money; figures after that mean nothing.")
    if metrics.sharpe is None and metrics.cagr is None:
        mild.append(f"Fewer than {MIN_DAYS} days: no Sharpe, Sortino, Calmar, CAGR or volatility is stated.")
    if metrics.halted:
        mild.append("The hard halt was reached: trading stopped for good before the end of the window.")
    if metrics.open_at_end:
        mild.append("A position was still open at the end: it counts in the equity, not among the trades.")
    return [Notice(text, True) for text in severe] + [Notice(text, False) for text in mild]


def stamp(iso: str) -> str:
    """Shorten an ISO 8601 UTC time to minutes."""
    return iso.replace("T", " ").removesuffix(":00Z").removesuffix("Z")


def window(metrics: Metrics) -> str:
    """Describe the window in one line."""
    sample = {True: "out of sample", False: MARK, None: "training cutoff unknown"}[metrics.oos]
    return f"{stamp(metrics.start)} to {stamp(metrics.end)} UTC, {metrics.bars:,} bars, {sample}"


def performance_rows(metrics: Metrics) -> list[Row]:
    """Return the figures that describe the trades."""
    return [
        ("Trades", f"{metrics.trades:,}"),
        ("Long / short", f"{metrics.long_trades:,} / {metrics.short_trades:,}"),
        ("Win rate", percent(metrics.win_rate) + interval(metrics.win_rate_low, metrics.win_rate_high, share=True)),
        ("Profit factor", factor_words(metrics.profit_factor) + interval(metrics.pf_low, metrics.pf_high, share=False)),
        ("Expectancy", _in_r(metrics.expectancy_r)),
        ("Expectancy, USD", dollars(metrics.expectancy_usd)),
        ("MAE, mean", _in_r(_negative(metrics.adverse_r_mean))),
        ("MFE, mean", _in_r(metrics.favourable_r_mean)),
        ("Longest losing run", f"{metrics.longest_losing_run:,} trades"),
        ("Bars held, mean", number(metrics.holding_bars_mean, 1)),
        ("Bars held, median", number(metrics.holding_bars_median, 1)),
        ("Exposure", f"{percent(metrics.exposure)} of bars"),
    ]


def account_rows(metrics: Metrics) -> list[Row]:
    """Return the figures that describe the account."""
    return [
        ("Return", signed_percent(metrics.total_return)),
        ("Max drawdown", percent(metrics.max_drawdown, 2)),
        ("Longest drawdown", f"{number(metrics.longest_drawdown_days, 1)} days"),
        ("CAGR", signed_percent(metrics.cagr)),
        ("Volatility", percent(metrics.volatility)),
        ("Sharpe", number(metrics.sharpe)),
        ("Sortino", number(metrics.sortino)),
        ("Calmar", number(metrics.calmar)),
        ("Start balance", dollars(metrics.start_balance)),
        ("End balance", dollars(metrics.end_balance)),
        ("End equity", dollars(metrics.end_equity)),
        ("Best trade", dollars(metrics.best_trade)),
        ("Worst trade", dollars(metrics.worst_trade)),
        ("Simulated in", f"{number(metrics.seconds)} s"),
    ]


def cost_rows(metrics: Metrics) -> list[Row]:
    """Return what the closed trades paid, by kind."""
    return [
        ("Spread", dollars(metrics.cost_spread)),
        (_fees(metrics.assumptions)[0], dollars(metrics.cost_commission)),
        (_carry(metrics.assumptions)[0], dollars(metrics.cost_swap)),
        ("Slippage", dollars(metrics.cost_slippage)),
    ]


def _fees(used: Assumptions) -> Row:
    fees = Fees(maker=used.maker_fee, taker=used.taker_fee, least=used.min_fee)
    return (fees.name, fees.text if fees.of_value else f"{dollars(used.commission_per_lot)} per lot and side")


def _carry(used: Assumptions) -> Row:
    if used.funding_rate:
        return ("Funding", f"{100.0 * used.funding_rate:g} % of the position's value each time, from longs to shorts")
    return ("Swap", f"long {dollars(used.swap_long)}, short {dollars(used.swap_short)} per lot and night")


def assumption_rows(metrics: Metrics) -> list[Row]:
    """Return the costs the run was simulated under; zero is stated, not left out."""
    used = metrics.assumptions
    spread = f"{dollars(used.spread)}"
    if used.spread_min != used.spread_max:
        spread += f" median ({dollars(used.spread_min)} to {dollars(used.spread_max)})"
    if used.spread_floored:
        spread += f", {used.spread_floored:,} of {metrics.bars:,} bars floored"
    return [
        ("Spread", spread),
        _fees(used),
        _carry(used),
        ("Slippage", f"{dollars(used.slippage)} per market or stop fill"),
        ("Leverage", f"1:{used.leverage:g}"),
        ("Stop and target in one bar", "decided by M1 bars" if used.m1 else "counted as a stop (no M1 bars)"),
    ]


def exit_rows(metrics: Metrics) -> list[tuple[str, int]]:
    """Return the closed trades by exit reason, those that occurred, most frequent first."""
    return _ranked({EXIT_WORDS[name]: count for name, count in metrics.exits.items()})


def block_rows(metrics: Metrics) -> list[tuple[str, int]]:
    """Return the blocked candidates by gate, those that occurred, most frequent first."""
    return _ranked({GATE_WORDS[name]: count for name, count in metrics.blocks.items()})


def _ranked(counts: dict[str, int]) -> list[tuple[str, int]]:
    return sorted(((name, count) for name, count in counts.items() if count), key=lambda item: -item[1])


def benchmark_rows(random_entry: RandomEntry) -> list[tuple[str, str, str, str, str]]:
    """Return figure, strategy, random median, random 5-95 % band and the strategy's percentile."""
    figures: tuple[tuple[str, Band | None, Formatter], ...] = (
        ("Profit factor", random_entry.profit_factor, number),
        ("Win rate", random_entry.win_rate, percent),
        ("Expectancy", random_entry.expectancy_r, _in_r),
        ("Return", random_entry.total_return, signed_percent),
    )
    return [(name, *_band_cells(band, show)) for name, band, show in figures]


def _band_cells(band: Band | None, show: Formatter) -> tuple[str, str, str, str]:
    if band is None:
        return UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN
    return show(band.strategy), show(band.median), f"{show(band.low)} to {show(band.high)}", f"{band.percentile:.0f}"


def _in_r(value: float | None) -> str:
    return UNKNOWN if value is None else f"{positive_zero(value, 3):+.3f} R"


def _negative(value: float | None) -> float | None:
    return None if value is None else -value


def buy_hold_line(buy_hold: BuyAndHold) -> str:
    """Describe buy and hold in one line."""
    return (
        f"Buy and hold: {signed_percent(buy_hold.total_return)}, max drawdown {percent(buy_hold.max_drawdown)} "
        "(spread paid, no swap)"
    )


def print_summary(
    console: Console, metrics: Metrics, random_entry: RandomEntry | None, buy_hold: BuyAndHold | None
) -> None:
    """Print the whole summary; plain ASCII text when the console is not a terminal.

    Parameters
    ----------
    console : rich.console.Console
    metrics : Metrics
    random_entry, buy_hold : RandomEntry, BuyAndHold or None
        Left out when None; a run without trades has no random entries to compare with.
    """
    plain = not console.is_terminal
    console.print()
    console.print(Text("Backtest  ", style="bold").append(window(metrics), style="not bold"), soft_wrap=True)
    print_notices(console, notices(metrics))
    console.print(_score_line(metrics), soft_wrap=True)
    # A file has no width: without a terminal nothing is cut or wrapped.
    width = max(console.width, _PLAIN_WIDTH) if plain else console.width
    for wide, narrow in _figure_tables(metrics, random_entry, plain):
        for table in (wide,) if _natural_width(console, wide) <= width else narrow:
            _print_whole(console, table, _natural_width(console, table))
    assumed = _assumption_table(metrics, plain)
    _print_whole(console, assumed, min(_natural_width(console, assumed), max(width, _ASSUMPTION_WIDTH)))
    if buy_hold is not None:
        console.print(Text(buy_hold_line(buy_hold)), soft_wrap=True)


def _natural_width(console: Console, table: Table) -> int:
    """Return the columns the table takes when no cell is wrapped or cut."""
    return Measurement.get(console, console.options.update(max_width=_UNBOUNDED_WIDTH), table).maximum


def _print_whole(console: Console, table: Table, width: int) -> None:
    """Print a table of this width even where the console is narrower: a wrapped line is read, a cut figure is lost."""
    # The console's own `width` argument can only narrow; the table's is taken as it stands.
    table.width = width
    console.print(table, crop=False)
    console.print()


def _figure_tables(
    metrics: Metrics, random_entry: RandomEntry | None, plain: bool
) -> list[tuple[Table, tuple[Table, ...]]]:
    """Return each table with the ones that replace it, stacked, where it does not fit."""
    trades, account = ("Trades", performance_rows(metrics)), ("Account", account_rows(metrics))
    costs, exits = ("Costs paid", cost_rows(metrics)), ("Exits", _counts(exit_rows(metrics)))
    tables = [_pair(trades, account, plain)]
    if random_entry is not None:
        tables.append((_benchmark_table(random_entry, plain), (_benchmark_list(random_entry, plain),)))
    tables.append(_pair(costs, exits, plain))
    if metrics.blocked:
        header = f"Blocks ({metrics.blocked:,} of {metrics.candidates:,} candidates)"
        rows = _counts(block_rows(metrics))
        middle = (len(rows) + 1) // 2
        halves = _columns(plain, (header, rows[:middle]), ("", rows[middle:]))
        tables.append((halves, (_columns(plain, (header, rows)),)))
    return tables


def print_notices(console: Console, found: Iterable[Notice]) -> None:
    """Print warnings, the severe ones so that they cannot be missed."""
    plain = not console.is_terminal
    for notice in found:
        if plain:
            text = banner(notice.text) if notice.severe else f"Note: {notice.text}"
            console.print(Text(text), soft_wrap=True)
        elif notice.severe:
            console.print(Panel(Text(notice.text), title="WARNING", style="bold white on red", box=box.HEAVY))
        else:
            console.print(Panel(Text(notice.text), border_style="yellow", style="yellow", box=box.ROUNDED))


def _score_line(metrics: Metrics) -> Text:
    line = Text("\nScore ", style="bold")
    if metrics.score is None:
        return line.append(f"none: {metrics.score_note}\n", style="bold yellow")
    band = metrics.band or ""
    line.append(number(metrics.score), style=BAND_STYLES[band]).append(f"  {band}", style=BAND_STYLES[band])
    formula = f"   = win rate x profit factor / sqrt(max drawdown)\n{equal_risk_words(metrics)}\n"
    return line.append(formula, style="not bold dim")


def equal_risk_words(metrics: Metrics) -> str:
    """Return the figures by which a result is compared with others, in two short lines."""
    return (
        f"At 1 % risk a trade, not {percent(metrics.risk_per_trade, 2)}: score {number(metrics.score_at_equal_risk)}, "
        f"drawdown {percent(metrics.max_drawdown_at_1pct)}"
    )


def _table(plain: bool) -> Table:
    return Table(box=None if plain else box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0))


def _columns(plain: bool, *sections: Section) -> Table:
    """Set sections side by side, each a header over names and right-aligned figures."""
    table = _table(plain)
    # One section alone is the layout of a narrow terminal, where the blank margin is what does not fit.
    table.show_edge = len(sections) > 1
    for header, _ in sections:
        table.add_column(header, no_wrap=True)
        table.add_column("", justify="right", no_wrap=True)
    for cells in zip_longest(*(rows for _, rows in sections), fillvalue=("", "")):
        table.add_row(*chain.from_iterable(cells))
    return table


def _pair(left: Section, right: Section, plain: bool) -> tuple[Table, tuple[Table, ...]]:
    return _columns(plain, left, right), (_columns(plain, left), _columns(plain, right))


def _counts(rows: list[tuple[str, int]]) -> list[Row]:
    return [(name, f"{count:,}") for name, count in rows]


def _benchmark_table(random_entry: RandomEntry, plain: bool) -> Table:
    table = _table(plain)
    table.add_column(f"Random entry x {random_entry.runs}", no_wrap=True)
    for header in _BENCHMARK_HEADERS:
        table.add_column(header, justify="right", no_wrap=True)
    for cells in benchmark_rows(random_entry):
        table.add_row(*cells)
    table.add_row("Trades", "", f"{random_entry.trades:,.0f}", "", "")
    return table


def _benchmark_list(random_entry: RandomEntry, plain: bool) -> Table:
    """Return the benchmark figure by figure, for a terminal too narrow for its columns."""
    rows: list[Row] = []
    for name, *cells in benchmark_rows(random_entry):
        rows += [(name, ""), *((f"  {header}", cell) for header, cell in zip(_BENCHMARK_HEADERS, cells, strict=True))]
    rows += [("Trades", ""), ("  median", f"{random_entry.trades:,.0f}")]
    return _columns(plain, (f"Random entry x {random_entry.runs}", rows))


def _assumption_table(metrics: Metrics, plain: bool) -> Table:
    table = _table(plain)
    table.add_column("Assumed", no_wrap=True)
    table.add_column("", overflow="fold")
    for row in assumption_rows(metrics):
        table.add_row(*row)
    return table
