"""No compiled rule is loaded between a close and its order: the start has called them all."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engine.inputs.models import Models
from engine.inputs.parameters import build_params
from engine.records import to_bytes
from ml.feature_engineering import latest_bar, live_window_bars
from novosky.market.bar_arrays import BarArrays
from novosky.market.timeframe import USUAL
from tests.helpers.paper_runs import planted_bars, scattered_ml_settings, settings_with
from tests.helpers.sets.signal_models import ScatteredModel
from trading.cycle.warm import invented_bars, warm_up

SCRIPT = """
import gc, json, sys
from dataclasses import replace
from pathlib import Path
from numba.core.dispatcher import Dispatcher
from engine.inputs.parameters import build_params
from novosky.settings import MlSettings
from tests.helpers import paper_runs
from tests.helpers.sets.signal_models import ScatteredPositionModel, ScatteredRiskModel, ScatteredSltpModel
from trading.cycle.warm import warm_up

def dispatchers():
    return [each for each in gc.get_objects() if isinstance(each, Dispatcher)]

def loaded(known):
    return {(each.py_func.__module__, each.py_func.__name__, str(kinds)) for each in known for kinds in each.signatures}

plain = paper_runs.scattered_ml_settings().model_dump(mode="json", exclude={"schema_reference"})
section = {"enabled": True, "exit_threshold": 0.5}
ml_settings = MlSettings.model_validate({**plain, "position_model": {**plain["position_model"], **section}})
ml_settings = ml_settings.model_copy(update={"ml_sltp": ml_settings.ml_sltp.model_copy(update={"enabled": True})})
scenario = paper_runs.Scenario(
    paper_runs.planted_bars(160),
    settings=paper_runs.settings_with(risk_model={"enabled": True}),
    ml_settings=ml_settings,
    position_model=ScatteredPositionModel(),
    sltp_model=ScatteredSltpModel(),
    risk_model=ScatteredRiskModel(),
)
if sys.argv[1] == "warm":
    params = build_params(scenario.settings, ml_settings)
    warm_up(scenario.models, scenario.settings, ml_settings, params)
session = paper_runs.open_scenario(scenario, Path(sys.argv[2]))
late, known, modules = set(), dispatchers(), len(sys.modules)
while not session.server.at_end:
    session.server.advance()
    before = loaded(known)
    session.bot.cycle()
    if len(sys.modules) > modules:
        # To look through all objects takes longer than a bar; rules come with their modules.
        known, modules = dispatchers(), len(sys.modules)
    late |= loaded(known) - before
# What came any other way is found here.
late |= loaded(dispatchers()) - loaded(known)
actions = {row["action"].split(":")[0] for row in session.journal.decisions()}
print(json.dumps({"late": sorted(late), "actions": sorted(actions), "trades": len(session.journal.trades())}))
"""
OF_THE_SIMULATED_BROKER = {
    "open_of_bar",
    "fill_entry",
    "close_position",
    "close_at_quote",
    "fee",
    "carry",
    "charge_carry",
    "rest_of_bar",
    "settle_both",
    "place_entry",
    "place_exit",
    "nights_until",
    "stops_allowed",
    "floating_profit",
}
"""A real broker's orders are filled elsewhere; these fill the paper account's."""


@pytest.mark.parametrize("state", ["warm", "cold"])
def test_a_warm_bot_loads_nothing_at_its_bars(state: str, root: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", SCRIPT, state, str(tmp_path / "journal.sqlite")]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    # Every way through a bar was taken: else nothing would have been asked for.
    assert {"entry", "exit", "blocked", "hold"} <= set(answer["actions"])
    assert answer["trades"] > 3
    late = {name for module, name, _ in answer["late"] if name not in OF_THE_SIMULATED_BROKER}
    assert (late == set()) == (state == "warm"), late


def test_warming_up_changes_no_rule() -> None:
    settings, ml_settings = settings_with(), scattered_ml_settings()
    params = build_params(settings, ml_settings)
    before = to_bytes(params)
    warm_up(Models(ScatteredModel()), settings, ml_settings, params)
    assert to_bytes(params) == before


def test_the_invented_bars_have_every_feature_and_real_bars_their_form() -> None:
    bars = invented_bars(live_window_bars(USUAL), 900)
    assert np.isfinite(latest_bar(bars).features).all()
    real = BarArrays.from_bars(planted_bars(1))
    form = {name: (value.dtype, value.flags.writeable) for name, value in vars(real).items() if name != "bar_seconds"}
    assert {name: (getattr(bars, name).dtype, getattr(bars, name).flags.writeable) for name in form} == form
