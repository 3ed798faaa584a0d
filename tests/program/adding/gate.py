"""A gate with a key of its own and an input per bar."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

ROW = "a gate"
EDITS = {
    "engine/gates/market.py": [
        (
            "\n\n@compiled\ndef _open(",
            """
    first_hour: F8


@compiled
def _late(candidate: Inputs, guard: Guard, params: Limits, spread: float, frozen: int) -> bool:
    return candidate.hour >= params.first_hour


@compiled
def _open(""",
        ),
        ("    market_open: I1\n", "    market_open: I1\n    hour: F8 = -1.0\n"),
        (
            "\nGATES = (\n",
            """
GATES = (
    Gate(
        name="first_hour",
        words="too early in the day",
        told=lambda candidate, guard, params, spread: below("hour", candidate.hour, params.first_hour, 0),
        rule=_late,
        limits=(Limit("first_hour", ("config.risk_management.first_hour",), same),),
    ),
""",
        ),
    ],
    "novosky/settings/runtime.py": [
        (
            "    max_spread_atr: Annotated",
            """    first_hour: Annotated[
        float, Swept(("first_hour",), "first hour", or_times(2.0))
    ] = Field(0.0, ge=0, le=23)
    max_spread_atr: Annotated""",
        ),
    ],
    "engine/inputs/context.py": [
        (
            "    news_minutes: npt.NDArray[np.float64]\n",
            "    news_minutes: npt.NDArray[np.float64]\n    hour: Any = None\n",
        ),
        ("    return MarketContext(\n", "    return MarketContext(\n        hour=closes // 3600 % 24,\n"),
    ],
}


def check(folder: Path) -> None:
    """Settings, rule, report, sweep, journal and the words for people know the gate."""
    from backtest.sweep.axes import KEYS
    from engine.candidates import find_candidates
    from engine.gates import GATE_NAMES, failing_gates, gate_names
    from engine.inputs.context import market_context
    from engine.inputs.parameters import build_params
    from engine.outputs.gate_numbers import Refusal, refusal_text
    from engine.outputs.reasons import GATE_WORDS
    from engine.records import Candidate, Guard, from_text, new_record, to_text
    from novosky.database.place import sqlite_url
    from novosky.settings import MlSettings, Settings
    from novosky.settings.strategy import strategy_of
    from optimize.history.strategy_params import parameters_in_force
    from trading.journal import BotStatus, Decision, Journal

    config = json.loads(Path("config.json").read_text())
    config["risk_management"]["first_hour"] = 9.0
    settings = Settings.model_validate(config)
    ml_settings = MlSettings.model_validate_json(Path("ml_config.json").read_text())
    params = build_params(settings, ml_settings)
    assert params.first_hour == 9.0
    opens = np.array([7, 8, 9]) * 3600 + 1_704_240_000
    column = np.full(3, 100.0)
    context = market_context(opens, column, column, column, settings, None)
    sure = np.tile([0.0, 1.0, 0.0], (3, 3, 1))
    candidates = find_candidates(sure, np.arange(3), context, 1.0, 1.0)
    guard = new_record(Guard)
    masks = [int(failing_gates(each, guard, params, 1.0, 0)) for each in candidates]
    assert [gate_names(mask) for mask in masks] == [["first_hour"], ["first_hour"], []], masks
    assert GATE_NAMES.index("first_hour") == GATE_NAMES.index("probability_gap") + 1
    assert GATE_WORDS["first_hour"] == "too early in the day"
    assert refusal_text(["first_hour"], Refusal(candidates[0], guard, params, 1.0)) == "hour 7 < 9"
    assert strategy_of(settings)["risk_management"]["first_hour"] == 9.0
    assert parameters_in_force(settings, ml_settings)["config.risk_management.first_hour"] == 9.0
    assert KEYS["first_hour"].dotted == "config.risk_management.first_hour"
    journal = Journal(sqlite_url(folder / "journal.sqlite"), symbol="BTCUSD", durable=True)
    status = BotStatus("me", 900, 1, 0, 0, 1.0, guard, "", False)
    journal.record_bar(
        status, Decision(900, "blocked", 1.0, 1.0, 1.0, gates=masks[0], candidate=to_text(candidates[0])), [], [], []
    )
    (row,) = journal.blocks()
    assert row["gates"] == "first_hour"
    assert from_text(Candidate, row["candidate"]).hour == 7.0
    older = {name: value for name, value in json.loads(row["candidate"]).items() if name != "hour"}
    assert from_text(Candidate, json.dumps(older)).hour == -1.0, "what a journal did not know yet is not known"
