from __future__ import annotations

import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from backtest.benchmarks import buy_and_hold, random_entry_benchmark
from backtest.metrics import Metrics, compute_metrics
from backtest.report.charts import MAX_POINTS, display_step
from backtest.report.figure_formats import dollars, number, percent, signed_percent
from backtest.report.page import report_html, write_report
from backtest.report.sections.equity import equity_figure
from backtest.report.sections.outcomes import r_histogram
from backtest.report.sections.price import price_figure
from backtest.report.summary import notices, print_summary
from backtest.result import BacktestResult
from backtest.trade_results import net_results
from engine.outputs.reasons import EXIT_WORDS
from engine.records import no_minutes
from novosky.errors import StorageError
from novosky.measures.statistics import drawdowns
from tests.helpers.backtest_examples import coin_flips, nightly, random_walk, written_down
from tests.helpers.made_pages import MADE, MADE_TEXT


def measure(result: BacktestResult) -> Metrics:
    return compute_metrics(result, np.random.default_rng(7), m1=False)


def printed(result: BacktestResult, *, terminal: bool = False, width: int = 100) -> str:
    _, atr = random_walk(len(result.bars.time), 2)
    chance = random_entry_benchmark(
        result, atr, np.random.default_rng(1), 10, minutes=no_minutes(), rollovers=nightly(result.bars)
    )
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=terminal, width=width)
    print_summary(console, measure(result), chance, buy_and_hold(result))
    return stream.getvalue()


def page(result: BacktestResult, **more: Any) -> str:
    return report_html(result, measure(result), None, buy_and_hold(result), title="Report", made=MADE, **more)


def embedded(text: str) -> Any:
    found = re.search(r'<script type="application/json" id="page">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    return json.loads(found.group(1))


class Outline(HTMLParser):
    """Collects elements, and the text outside scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._silent = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._silent = tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._silent = False

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.words.append(data)


@pytest.fixture(scope="module")
def result() -> BacktestResult:
    return coin_flips(labels=("synthetic market, seed 2",))


def test_summary_always_prints_the_assumptions(result: BacktestResult) -> None:
    text = printed(result)
    for line in (
        r"Spread +\$16\.95",
        r"Commission +\$2\.00 per lot and side",
        r"Swap +long -\$20\.00, short -\$5\.00 per lot and night",
        r"Slippage +\$1\.00",
        r"Leverage +1:500",
    ):
        assert re.search(line, text), line


def test_a_cost_of_zero_is_printed_too() -> None:
    result = written_down((1.0,))
    result.params.commission_per_lot = 0.0
    stream = io.StringIO()
    print_summary(Console(file=stream), measure(result), None, None)
    assert "$0.00 per lot and side" in stream.getvalue()


def test_summary_without_a_terminal_is_plain_ascii(result: BacktestResult) -> None:
    text = printed(result)
    assert text.isascii()
    assert "\x1b" not in text
    assert "Note: synthetic market, seed 2" in text


def test_summary_sets_benchmarks_beside_the_strategy(result: BacktestResult) -> None:
    text = printed(result)
    assert re.search(r"Profit factor +[\d.]+ +[\d.]+ +[\d.]+ to [\d.]+ +\d+", text)
    assert "Buy and hold: " in text


@pytest.mark.parametrize("width", [20, 40, 60, 75])
def test_a_narrow_terminal_cuts_no_figure(result: BacktestResult, width: int) -> None:
    def words(at: int) -> set[str]:
        return set(re.sub(r"\x1b\[[\d;]*m|[╭╮╰╯│─]", " ", printed(result, terminal=True, width=at)).split())

    assert "…" not in printed(result, terminal=True, width=width)
    assert words(200) - words(width) == set()


def test_without_a_terminal_the_width_of_the_console_cuts_nothing(result: BacktestResult) -> None:
    assert printed(result, width=40) == printed(result, width=120)


def test_tables_are_stacked_where_they_do_not_fit_side_by_side(result: BacktestResult) -> None:
    assert re.search(r"Trades +\d+ +Return", printed(result, terminal=True))
    narrow = re.sub(r"\x1b\[[\d;]*m", "", printed(result, terminal=True, width=40))
    assert not re.search(r"Trades +\d+ +Return", narrow)
    tables = narrow[narrow.index("Trades") : narrow.index("Buy and hold")]
    assert max(len(line) for line in tables.splitlines()) <= 40


def test_a_score_at_the_floor_of_the_drawdown_says_so() -> None:
    assert "counts a drawdown of 0.1 %, its floor" in printed(written_down((1.0,) * 20, max_drawdown=0.0005))
    assert "its floor" not in printed(written_down((1.0,) * 20, max_drawdown=0.001))
    assert "its floor" not in printed(written_down((1.0,), max_drawdown=0.0))


def test_equity_below_zero_is_said() -> None:
    assert "Equity went below zero" in printed(written_down((-1.0,) * 20, max_drawdown=1.05))
    assert "Equity went below zero" not in printed(written_down((-1.0,) * 20, max_drawdown=1.0))


def test_in_sample_results_cannot_be_missed(result: BacktestResult) -> None:
    seen = BacktestResult(**{**result.__dict__, "train_cutoff": pd.Timestamp("2024-01-10", tz="UTC")})
    assert "!" * 60 in printed(seen)
    assert "IN-SAMPLE" in printed(seen)
    coloured = printed(seen, terminal=True)
    assert "WARNING" in coloured
    assert re.search(r"\x1b\[[\d;]*41m", coloured), "the warning is printed on red"
    assert 'class="severe"' in page(seen)
    assert "IN-SAMPLE" in "".join(Outline(page(seen)).words)


def test_out_of_sample_results_carry_no_such_warning(result: BacktestResult) -> None:
    proved = BacktestResult(**{**result.__dict__, "train_cutoff": pd.Timestamp("2023-12-01", tz="UTC")})
    assert "IN-SAMPLE" not in printed(proved)
    assert 'class="severe"' not in page(proved)


def test_an_overlap_label_is_not_repeated() -> None:
    result = written_down((1.0,) * 20, labels=("IN-SAMPLE: 5 of 10 bars lie before the training cutoff",))
    seen = BacktestResult(**{**result.__dict__, "train_cutoff": pd.Timestamp("2024-02-10", tz="UTC")})
    assert [notice.text for notice in notices(measure(seen)) if notice.severe] == list(result.labels)


def test_too_few_trades_are_said_instead_of_a_score() -> None:
    text = printed(written_down((1.0, -1.0)))
    assert "Score none: too few trades" in text
    assert "2 of at least 20" in text


def test_zero_trades_make_a_summary_and_a_page() -> None:
    result = written_down(())
    assert "n/a" in printed(result)
    assert "No trade was closed" in page(result)


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        (number(None), "n/a"),
        (number(1234.5), "1,234.50"),
        (number(-0.001), "0.00"),
        (percent(0.1234), "12.3 %"),
        (signed_percent(0.05), "+5.0 %"),
        (dollars(-1.5), "-$1.50"),
        (dollars(-0.001), "$0.00"),
    ],
)
def test_formats(shown: str, text: str) -> None:
    assert shown == text


def test_page_asks_for_nothing_from_the_network(result: BacktestResult) -> None:
    outline = Outline(page(result))
    for tag, attributes in outline.elements:
        assert tag not in ("link", "iframe", "img"), tag
        assert not {"src", "href"} & set(attributes), (tag, attributes)
    policy = next(a["content"] for t, a in outline.elements if t == "meta" and "http-equiv" in a)
    assert policy is not None and policy.startswith("default-src 'none'")


def test_page_offers_no_upload_of_charts(result: BacktestResult) -> None:
    assert "showSendToCloud:false" in page(result)


def test_page_holds_plotly_once(result: BacktestResult) -> None:
    assert page(result).count("* plotly.js v") == 1


def test_page_shows_every_section(result: BacktestResult) -> None:
    words = "\n".join(Outline(page(result)).words)
    for heading in (
        "Equity and drawdown",
        "Against chance",
        "Price and trades",
        "Monthly returns",
        "Outcomes",
        "Exits",
        "Blocks by gate",
        "Hour (UTC)",
        "Weekday (UTC)",
        "Session",
        "Costs and assumptions",
        "Trades",
    ):
        assert heading in words, heading
    assert "synthetic market, seed 2" in words


def test_every_chart_has_its_place(result: BacktestResult) -> None:
    text = page(result)
    places = {attributes.get("id") for _, attributes in Outline(text).elements}
    assert set(embedded(text)["figures"]) == {"equity", "price", "histogram", "way"} <= places


def test_the_page_says_what_it_is_about(result: BacktestResult) -> None:
    shown = page(result).partition("<script")[0]
    assert all(text in shown for text in MADE_TEXT)


@pytest.mark.parametrize("digits", [1, 2, 5])
def test_prices_of_the_trades_have_the_digits_of_the_symbol(digits: int) -> None:
    result = coin_flips()
    result.params.price_scale = 10.0**digits
    columns = dict(embedded(page(result))["trades"]["columns"])
    assert {columns[name] for name in ("entry", "exit", "stop", "target")} == {f"n{digits}"}


def test_hours_without_a_loser_have_an_infinite_factor() -> None:
    shown = page(written_down((1.0, 2.0)))
    assert "<td>\N{INFINITY}</td>" in shown
    assert "10 or more" in shown


def test_a_short_window_states_no_yearly_figure(result: BacktestResult) -> None:
    shown = page(result)
    assert "Fewer than 180 days" in shown
    assert "yearly figures need 180 days" in shown
    assert '<div id="rolling">' not in shown


def test_plain_tables_fit_eighty_columns(result: BacktestResult) -> None:
    prose = ("Note: ", "Backtest  ", "Buy and hold", "Score ")
    lines = [line.rstrip() for line in printed(result, width=80).splitlines()]
    assert max(len(line) for line in lines if not line.startswith(prose)) <= 80


def test_page_lists_every_trade(result: BacktestResult) -> None:
    trades = embedded(page(result))["trades"]
    names = [name for name, _ in trades["columns"]]
    assert len(trades["rows"]) == len(result.trades)
    assert [row[names.index("net")] for row in trades["rows"]] == net_results(result.trades).round(2).tolist()
    assert {row[names.index("reason")] for row in trades["rows"]} <= set(EXIT_WORDS.values())


def test_page_escapes_what_it_is_given(result: BacktestResult) -> None:
    hostile = BacktestResult(**{**result.__dict__, "labels": ("</script><b>bold</b>",)})
    text = page(hostile, details={"Data": "<i>file</i>"})
    assert "<b>bold</b>" not in text
    assert "&lt;i&gt;file&lt;/i&gt;" in text


def test_report_replaces_the_old_one_whole(result: BacktestResult, tmp_path: Path) -> None:
    path = tmp_path / "reports" / "report.html"
    write_report(path, result, measure(result), None, None, made=MADE)
    write_report(path, result, measure(result), None, None, made=MADE, title="Second")
    assert "<title>Second</title>" in path.read_text(encoding="utf-8")
    assert [entry.name for entry in path.parent.iterdir()] == ["report.html"]


def test_a_report_that_cannot_be_written_says_so(result: BacktestResult, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match=r"report\.html"):
        write_report(tmp_path / "file" / "report.html", result, measure(result), None, None, made=MADE)


def test_a_year_of_bars_stays_light(tmp_path: Path) -> None:
    year = coin_flips(35_040, every=16, balance=50_000.0)
    path = tmp_path / "report.html"
    write_report(path, year, measure(year), None, buy_and_hold(year), made=MADE)
    assert '<div id="rolling"></div>' in path.read_text(encoding="utf-8")
    assert path.stat().st_size < 8_000_000
    assert "drawn hourly" in path.read_text(encoding="utf-8")


def test_lines_are_thinned_to_what_a_screen_shows() -> None:
    for count, step in ((9_000, 900), (35_000, 3_600), (150_000, 14_400), (330_000, 86_400)):
        times = 900 * np.arange(count)
        assert display_step(times, 900) == step
        assert len(np.unique(times // step)) <= MAX_POINTS


def test_thinning_keeps_the_deepest_drawdown_and_the_last_equity() -> None:
    result = coin_flips(12_000, every=20, balance=20_000.0)
    equity, _, below = equity_figure(result)["data"]
    assert len(equity["x"]) == 3_000
    assert equity["y"][-1] == pytest.approx(float(result.equity[-1]), abs=0.005)
    assert min(below["y"]) == pytest.approx(-100.0 * drawdowns(result.equity, 20_000.0).max(), abs=0.001)


def test_every_trade_is_on_the_price_chart(result: BacktestResult) -> None:
    data = price_figure(result)["data"]
    marked = [time for trace in data if trace.get("mode") == "markers" for time in trace["x"]]
    assert sorted(marked) == (result.trades["entry_time"] * 1000).tolist()


def test_closes_are_drawn_when_they_were_known(result: BacktestResult) -> None:
    line = next(trace for trace in price_figure(result)["data"] if trace.get("name") == "Close (bid)")
    assert line["x"][0] == (int(result.bars.time[0]) + 900) * 1000
    assert line["y"][0] == result.bars.close[0]


def test_histogram_counts_every_trade_with_a_risk() -> None:
    result = written_down((100.0, -100.0, 10.0, -10.0, 5.0), risk=10.0)
    bars = r_histogram(result.trades)["data"][0]
    counts = dict(zip(bars["x"], bars["y"], strict=True))
    assert sum(counts.values()) == 5
    # +-10 R are gathered at the edges; -1 R opens its own quarter.
    assert (counts[2.875], counts[-2.875], counts[1.125], counts[-0.875], counts[0.625]) == (1, 1, 1, 1, 1)
