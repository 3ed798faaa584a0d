"""What the broker takes for a lot is what sizing, margin gate, stop-out and backtest reckon with, or nothing trades."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from engine.fills import required_margin
from engine.inputs.parameters import build_params
from engine.records import Params
from novosky.errors import BrokerError
from tests.helpers.mt5.stage import Mt5Stage, stage
from tests.helpers.paper_runs import (
    Scenario,
    backtest_outcome,
    planted_bars,
    replay_outcome,
    scattered_ml_settings,
    settings_with,
)
from trading.brokers.facts import MarginFacts, SymbolFacts
from trading.brokers.margin import UNKNOWN, margin_problem
from trading.brokers.mt5_package.constants import ModuleConstants as C
from trading.brokers.mt5_package.errors import CALL_FAILED
from trading.brokers.port import OrderRequest, Outcome
from trading.brokers.simulated.accounts import AccountTerms
from trading.brokers.simulated.faults import Fault
from trading.brokers.simulated.markets.symbols import SymbolSpec
from trading.doctor.broker import check_margin
from trading.doctor.finding import Grade


def params_with(**sections: object) -> Params:
    return build_params(settings_with(**sections), scattered_ml_settings())


@pytest.mark.parametrize(("rate", "taken"), [(1.0, 100.0), (0.5, 50.0), (20.0, 2_000.0)])
def test_the_engine_reckons_with_the_rate(rate: float, taken: float) -> None:
    params = params_with(account={"leverage": 500}, broker={"margin_rate": rate})
    assert required_margin(params, 1.0, 50_000.0) == pytest.approx(taken)


def test_a_rate_of_one_changes_no_byte() -> None:
    assert params_with(account={"leverage": 37}).leverage == 37.0


def staged(spec: SymbolSpec, **settings: object) -> Mt5Stage:
    return stage(spec=spec, settings=dict(settings), connect=False)


def refusal(play: Mt5Stage) -> str:
    with pytest.raises(BrokerError) as told:
        play.broker.connect()
    return str(told.value)


@pytest.mark.parametrize(("rate", "line"), [(20.0, '"margin_rate": 20 '), (0.5, '"margin_rate": 0.5 ')])
def test_a_symbol_with_its_own_leverage_is_refused_with_the_line_to_write(rate: float, line: str) -> None:
    text = refusal(staged(SymbolSpec("BTCUSD", margin_rate=rate)))
    assert f"write {line}in its section broker" in text
    assert "leverage" not in text.partition("write")[2]


@pytest.mark.parametrize("rate", [20.0, 0.5])
def test_with_that_line_it_trades(rate: float) -> None:
    play = staged(SymbolSpec("BTCUSD", margin_rate=rate), broker={"margin_rate": rate})
    play.broker.connect()
    quote = play.broker.quote()
    sent = play.broker.send(OrderRequest(1, 0.01, quote.bid - 500.0, quote.ask + 500.0, 0, 770_001, "e0000000a"))
    assert sent.outcome is Outcome.FILLED
    (held,) = play.broker.positions()
    assert held.margin == pytest.approx(0.01 * held.price_open / 100.0 * rate, rel=1e-3)


def test_another_leverage_than_the_accounts_is_refused_with_the_line_to_write() -> None:
    text = refusal(staged(SymbolSpec("BTCUSD"), account={"leverage": 500}))
    assert text.endswith('write "leverage": 100 in its section account')


def test_both_lines_where_both_differ() -> None:
    text = refusal(staged(SymbolSpec("BTCUSD", margin_rate=4.0), account={"leverage": 500}))
    assert text.endswith('write "leverage": 100 in its section account and "margin_rate": 4 in its section broker')


def test_a_cent_account_is_measured_in_dollars() -> None:
    cents = AccountTerms(login=1, leverage=100, limit_positions=1, currency="USC")
    play = stage(
        spec=SymbolSpec("BTCUSD", contract_size=0.01), account=cents, settings={"account_type": "cent"}, connect=False
    )
    play.broker.connect()


def fixed(margin: float) -> SymbolSpec:
    return SymbolSpec("BTCUSD", calc_mode=C.SYMBOL_CALC_MODE_FUTURES, margin_initial=margin)


def test_a_fixed_margin_above_what_is_reckoned_with_is_refused_and_said_to_be_fixed() -> None:
    text = refusal(staged(fixed(5_000.0)))
    assert "takes it whatever the price" in text
    assert '"margin_rate": 10' in text or '"margin_rate": 9.9' in text


def test_a_fixed_margin_below_is_the_safe_side() -> None:
    staged(fixed(100.0)).broker.connect()


def silent(play: Mt5Stage, times: int) -> None:
    play.plan(Fault(failure=CALL_FAILED).on("order_calc_margin", times=times))


def test_a_terminal_that_answers_none_opens_nothing_and_says_why(caplog: pytest.LogCaptureFixture) -> None:
    play = staged(SymbolSpec("BTCUSD"))
    silent(play, 2)
    play.broker.connect()
    assert f"no entries on this account: {UNKNOWN}" in caplog.text
    silent(play, 2)
    quote = play.broker.quote()
    order = OrderRequest(1, 0.01, quote.bid - 500.0, quote.ask + 500.0, 0, 770_001, "e0000000a")
    refused = play.broker.send(order)
    assert (refused.outcome, refused.comment) == (Outcome.NO_MONEY, UNKNOWN)
    assert play.sends() == 0
    assert play.broker.send(replace(order, comment="e0000000b")).outcome is Outcome.FILLED


def test_a_broker_that_raises_its_margin_while_the_bot_runs_gets_no_more_entries() -> None:
    play = staged(SymbolSpec("BTCUSD"))
    play.broker.connect()
    feed = play.server.main
    feed.params.leverage = 25.0
    quote = play.broker.quote()
    refused = play.broker.send(OrderRequest(1, 0.01, quote.bid - 500.0, quote.ask + 500.0, 0, 770_001, "e0000000a"))
    assert refused.outcome == Outcome.NO_MONEY
    assert '"margin_rate": 4 ' in refused.comment
    assert play.sends() == 0


FACTS = MarginFacts(1.0, 50_000.0, 100.0, 50.0, 500.0)


@pytest.mark.parametrize("taken", [99.1, 100.0, 100.9])
def test_what_rounding_and_conversion_make_of_it_is_tolerated(taken: float) -> None:
    assert margin_problem(replace(FACTS, taken=taken, at_half=taken / 2.0), settings_with()) == ""


@pytest.mark.parametrize("taken", [98.0, 102.0, 0.0, None])
def test_more_is_not(taken: float | None) -> None:
    assert margin_problem(replace(FACTS, taken=taken, at_half=None), settings_with())


def test_doctor_names_the_line() -> None:
    facts = SymbolFacts("BTCUSD", 0.01, 0.01, 2, 1.0, 0.01, 100.0, 0.01, 0, 0.01, "USD", 2, FACTS)
    assert check_margin(facts, settings_with()).grade is Grade.OK
    found = check_margin(replace(facts, margin=replace(FACTS, taken=2_000.0, at_half=1_000.0)), settings_with())
    assert (found.grade, found.mend) == (Grade.FAIL, 'write "margin_rate": 20 in its section broker')
    found = check_margin(replace(facts, currency_digits=0), settings_with())
    assert (found.grade, found.mend) == (Grade.FAIL, 'write "currency_digits": 0 in the section account')


def test_backtest_and_bot_with_a_rate_write_the_same_bytes_and_feel_it(tmp_path: Path) -> None:
    def scenario(rate: float) -> Scenario:
        return Scenario(
            planted_bars(400),
            settings=settings_with(
                risk_profile={"starting_balance_usd": 5_000.0},
                costs={"spread": 30.0},
                account={"leverage": 20.0, "stop_out_level": 103.0},
                broker={"margin_rate": rate},
                dynamic_position_sizing={"risk_percent": 3.0},
                risk_management={"sl_atr_mult": 5.0, "tp_atr_mult": 2.0, "max_spread_atr": 1.0},
            ),
        )

    dear = backtest_outcome(scenario(20.0), tmp_path)
    assert replay_outcome(scenario(20.0), tmp_path) == dear
    assert "margin" in dear.reasons
    assert backtest_outcome(scenario(1.0), tmp_path).trades != dear.trades
