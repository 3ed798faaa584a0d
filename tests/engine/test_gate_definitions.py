"""A gate is one definition: what else knows of gates follows from it, and no definition is incomplete."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numba.core.dispatcher import Dispatcher

from engine.gates import GATES, ORDER_SHIFT, Gate, failing_gates, gate_names, mask_of, order
from engine.gates.reading import GateInputs, GateLimits
from engine.inputs.context import MarketContext
from engine.records import Block, Candidate, Guard, Trade, dtype_of, new_record
from engine.sizing import BAD_STOPS, BAD_VOLUME, NO_MARGIN
from novosky.settings import load_ml_settings, load_settings
from novosky.settings.places import setting_at
from tests.engine.market import one_candidate, realistic_params
from trading.journal.versions.old_records import CANDIDATE_1, GUARD_3, TRADE_1

RULED = [gate for gate in GATES if gate.rule is not None]


def names_of(layout: type) -> set[str]:
    return set(dtype_of(layout).names or ())


def test_names_are_unique_and_a_mask_has_room_for_every_gate() -> None:
    assert len({gate.name for gate in GATES}) == len(GATES)
    assert len(GATES) <= 8 * dtype_of(Block)["gates"].itemsize


def test_the_gates_of_the_order_come_last_and_answer_to_the_bits_of_the_sizing() -> None:
    assert list(GATES[ORDER_SHIFT:]) == list(order.GATES)
    assert all(gate.rule is None for gate in order.GATES)
    assert {verdict << ORDER_SHIFT: name for verdict, name in (
        (BAD_STOPS, "stops_level"), (BAD_VOLUME, "volume"), (NO_MARGIN, "margin"),
    )} == {mask_of(gate.name): gate.name for gate in order.GATES}  # fmt: skip


@pytest.mark.parametrize("gate", RULED, ids=lambda gate: gate.name)
def test_each_rule_alone_decides_its_own_bit(gate: Gate) -> None:
    """Everything a gate may read is unknown or at its worst: it fails exactly where its own rule does."""
    assert gate.rule is not None
    candidate, params = one_candidate(), realistic_params()
    guard = new_record(Guard)
    for name, kind in dtype_of(Candidate).fields.items():  # type: ignore[union-attr]
        if kind[0].kind == "f":
            candidate[name] = np.nan
    verdict = gate.rule(candidate, guard, params, 1.0, 1)
    assert (gate.name in gate_names(failing_gates(candidate, guard, params, 1.0, 1))) == (not verdict)


@pytest.mark.parametrize("gate", RULED, ids=lambda gate: gate.name)
def test_rules_are_compiled(gate: Gate) -> None:
    from numba import config

    assert config.DISABLE_JIT or isinstance(gate.rule, Dispatcher)


@pytest.mark.parametrize("gate", GATES, ids=lambda gate: gate.name)
def test_every_key_of_a_gate_is_one_of_the_settings(root: Path, gate: Gate) -> None:
    settings, ml_settings = load_settings(root / "config.json"), load_ml_settings(root / "ml_config.json")
    for key in gate.keys:
        setting_at(key, settings, ml_settings)


def test_every_field_the_gates_read_of_the_settings_is_set_by_one_gate() -> None:
    set_by = [limit.field for gate in GATES for limit in gate.limits]
    assert sorted(set_by) == sorted(names_of(GateLimits))


def test_every_input_of_the_gates_is_given_by_the_signal_or_by_the_market() -> None:
    of_the_signal = {"side", "votes", "confidence", "gap"}
    of_the_market = {field.name for field in fields(MarketContext)}
    assert names_of(GateInputs) == of_the_signal | of_the_market


@pytest.mark.parametrize("gate", GATES, ids=lambda gate: gate.name)
def test_words_are_for_people_and_numbers_fit_a_line(gate: Gate) -> None:
    told: Any = gate.told(one_candidate(), new_record(Guard), realistic_params(), 10.0)
    assert gate.words and "_" not in gate.words + told
    assert 0 < len(told) <= 60


@pytest.mark.parametrize(("layout", "known"), [(Candidate, CANDIDATE_1), (Guard, GUARD_3), (Trade, TRADE_1)])
def test_a_field_older_journals_do_not_know_declares_its_value(layout: type, known: np.dtype[Any]) -> None:
    """Without one a journal of yesterday could not be read any more."""
    later = names_of(layout) - set(known.names or ())
    assert [name for name in later if not hasattr(layout, name)] == []
    assert set(known.names or ()) <= names_of(layout)
