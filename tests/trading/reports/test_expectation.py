"""What a bot says at its start of what to expect, and what the doctor says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ml.sets.companions import EXPECTATION_NAME
from ml.sets.expectation import record_content
from novosky.files import write_json
from novosky.measures.expectation import TradeRecord
from novosky.settings import Settings
from trading.doctor.finding import Grade
from trading.doctor.model_set import check_expectation
from trading.reports.expectation import UNKNOWN, expectation_facts, expectation_lines, expectation_of


@pytest.fixture
def settings(root: Path) -> Settings:
    return Settings.model_validate(json.loads((root / "config.json").read_text()))


def approve(models: Path, chance: float, count: int = 400) -> None:
    """Leave the record of a bracket that pays 1.2 R with this chance and costs 1.05 R."""
    rng = np.random.default_rng(1)
    days = 19_000 + np.sort(rng.integers(0, 300, count))
    r = np.where(rng.random(count) < chance, 1.2, -1.05)
    write_json(models / EXPECTATION_NAME, record_content(TradeRecord(19_000, 19_299, days, r)))


def test_an_edge_is_told_with_its_falls(tmp_path: Path, settings: Settings) -> None:
    approve(tmp_path, 0.62)
    found = expectation_of(tmp_path, settings)
    assert found is not None and not found.may_be_worthless
    assert found.risk == pytest.approx(settings.dynamic_position_sizing.risk_percent / 100.0)
    worth, month, year = expectation_lines(found)
    assert worth.startswith("400 trades in 300 days out of sample; the profit factor lies between")
    assert worth.endswith("above 1")
    assert f"a month at {found.risk:.1%} risk a trade: " in month
    assert f"in one year of twenty {found.drawdown_high:.0%} or more" in year
    assert check_expectation(tmp_path, settings).grade == Grade.OK


def test_what_may_be_worth_nothing_is_called_so(tmp_path: Path, settings: Settings) -> None:
    approve(tmp_path, 0.47)
    facts = expectation_facts(tmp_path, settings)
    assert "that may be worth nothing: the profit factor lies between 0." in facts[0]
    finding = check_expectation(tmp_path, settings)
    assert finding.grade == Grade.WARN
    assert "paper" in (finding.mend or "")


def test_silence_is_told_and_damage_stops_nothing(tmp_path: Path, settings: Settings) -> None:
    assert expectation_facts(tmp_path, settings) == (f"expect: {UNKNOWN}",)
    assert check_expectation(tmp_path, settings).grade == Grade.WARN
    (tmp_path / EXPECTATION_NAME).write_text("{")
    (fact,) = expectation_facts(tmp_path, settings)
    assert "is damaged" in fact
    assert check_expectation(tmp_path, settings).grade == Grade.FAIL
