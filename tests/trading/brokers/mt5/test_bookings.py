"""An entry that the broker fills in several deals is one entry in the books."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.helpers.mt5.runs import Mt5Session, open_mt5, trade_server
from tests.helpers.paper_runs import Scenario, backtest_outcome, planted_bars, settings_with
from trading.brokers.mt5_package.constants import ModuleConstants as C
from trading.brokers.mt5_package.structs import TradeDeal
from trading.brokers.simulated.store import MemoryStore
from trading.cycle.bookings import entry_of


def fill_in_parts(session: Mt5Session) -> list[int]:
    """Let the terminal list every entry as two deals, at prices on both sides of the fill's; returns whose."""
    parted: list[int] = []
    original = session.mt5.history_deals_get

    def history(*args: Any, **kwargs: Any) -> tuple[TradeDeal, ...] | None:
        found = original(*args, **kwargs)
        return None if found is None else tuple(part for deal in found for part in parts(deal))

    def parts(deal: TradeDeal) -> list[TradeDeal]:
        if deal.type == C.DEAL_TYPE_BALANCE:
            # The bot has seen it before: under another number it would be a second deposit.
            return [deal]
        numbered = deal._asdict() | {"ticket": 2 * deal.ticket}
        first = round(0.3 * deal.volume, 2)
        if deal.entry != C.DEAL_ENTRY_IN or not 0.0 < first < deal.volume:
            return [TradeDeal(numbered.values())]
        parted.append(deal.position_id)
        rest = round(deal.volume - first, 2)
        paid = round(deal.commission * 0.3, 2)
        one = {"volume": first, "price": deal.price - 10.0 * rest, "commission": paid}
        other = {"volume": rest, "price": deal.price + 10.0 * first, "commission": deal.commission - paid}
        return [
            TradeDeal((numbered | one).values()),
            TradeDeal((numbered | other | {"ticket": numbered["ticket"] + 1}).values()),
        ]

    session.mt5.history_deals_get = history  # type: ignore[method-assign]
    return parted


def test_entries_filled_in_parts_leave_the_files_of_entries_filled_at_once(tmp_path: Path) -> None:
    scenario = Scenario(planted_bars(150), settings=settings_with(costs={"commission_per_lot": 7.0}))
    session = open_mt5(scenario, tmp_path / "j.sqlite", trade_server(scenario, MemoryStore()))
    parted = fill_in_parts(session)
    session.finish()
    outcome = session.outcome(scenario, tmp_path)
    assert outcome == backtest_outcome(scenario, tmp_path)
    assert len(set(parted)) > 3
    assert len(session.journal.entry_deals(parted[0])) == 2


def row(ticket: int, volume: float, price: float, commission: float) -> dict[str, Any]:
    fields = {"ticket": ticket, "volume": volume, "price": price, "commission": commission}
    return fields | {"time": 100 + ticket, "comment": f"e{ticket}", "magic": 7, "position": 3}


def test_several_deals_of_an_entry_make_one_at_the_mean_price_weighted_by_volume() -> None:
    merged = entry_of([row(1, 0.1, 100.0, -0.1), row(2, 0.2, 103.0, -0.2), row(4, 0.1, 104.0, 0.0)])
    assert merged is not None
    assert merged["price"] == pytest.approx((10.0 + 20.6 + 10.4) / 0.4)
    assert (merged["volume"], merged["commission"]) == (0.4, pytest.approx(-0.3))
    assert (merged["ticket"], merged["time"], merged["comment"], merged["position"]) == (1, 101, "e1", 3)


def test_one_deal_is_itself_and_none_is_none() -> None:
    only = row(1, 0.1, 100.0, -0.1)
    assert entry_of([only]) is only
    assert entry_of([]) is None
