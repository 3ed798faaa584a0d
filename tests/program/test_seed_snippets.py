"""The owner's one-liners over settings and model files: the keys they read and the files they list are there."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ml.sets.shap_summary import read_shap_summary
from tests.helpers.command_line import listing, run_script
from tests.helpers.desk import Desk

ROOT = Path(__file__).resolve().parents[2]
GUIDE = "001_eb516893823b0ff7.txt"

SIGNAL_FILES = [
    "models/ensemble_rf.pkl",
    "models/ensemble_xgb.pkl",
    "models/ensemble_lgb.pkl",
    "models/ensemble_scaler.pkl",
    "models/ensemble_btcusd-live_metadata.json",
    "models/model_compat.json",
]
LATER_FILES = ["models/position_rf.pkl", "models/risk_lgb.txt", "models/risk_scaler.pkl", "models/risk_metadata.json"]
"""Files of models that this version does not train."""


@pytest.fixture(scope="module")
def checkout(desk: Desk, root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout after training: the shipped settings and scripts, models and bars where they are by default.

    The importance analysis has run; the optimiser's result is a stand-in with its documented keys.
    """
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("config.json", "ml_config.json", "backtest_config.py"):
        shutil.copy(root / name, folder)
    shutil.copytree(desk.models, folder / "models")
    shutil.copytree(desk.folder / "data", folder / "data")
    best = {"score": 11.5, "profile_name": "balanced", "achieved_at": "2024-06-02T02:31:00Z"}
    (folder / "models" / "optimize_best.json").write_text(json.dumps(best))
    answer = run_script("train_ml_model.py", "--shap-only", cwd=folder)
    assert answer.code == 0, answer.err
    return folder


def content_of(checkout: Path, name: str) -> dict[str, Any]:
    content = json.loads((checkout / name).read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


def run_code(code: str, checkout: Path) -> str:
    """Run Python code in a checkout and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_keys_of_the_health_check_are_in_the_settings(checkout: Path) -> None:
    config = content_of(checkout, "config.json")
    assert config["dynamic_position_sizing"]["risk_percent"] == 1.5
    assert config["max_consecutive_losses"] == 5
    assert config.get("max_total_drawdown_pct") == 30.0
    assert config.get("max_weekly_drawdown_pct") == 12.0
    assert config.get("risk_model", {}).get("enabled") is True


def test_the_feature_count_of_the_models_is_that_of_the_settings(checkout: Path) -> None:
    features = content_of(checkout, "ml_config.json")["features"]
    assert content_of(checkout, "models/model_compat.json")["feature_count"] == len(features) == 55


@pytest.mark.parametrize("file", SIGNAL_FILES)
def test_every_file_of_the_signal_model_is_where_the_health_check_looks(checkout: Path, file: str) -> None:
    assert (checkout / file).is_file()


def test_a_changed_config_can_be_tried_without_touching_the_shipped_one(checkout: Path, tmp_path: Path) -> None:
    config = content_of(checkout, "config.json")
    config["dynamic_position_sizing"]["risk_percent"] = 2.5
    changed = tmp_path / "config.json"
    changed.write_text(json.dumps(config))
    before = listing(checkout)
    flags = shlex.split("--balance 500 --no-swap --leverage 500 --spread 16.95 --oos-only --no-chart")
    answer = run_script("backtest_config.py", *flags, "--config", changed, cwd=checkout)
    assert answer.code == 0, answer.err
    assert "SYNTHETIC DATA" in answer.out
    assert "out of sample" in answer.out
    assert "Score" in answer.out
    assert listing(checkout) == before


# What follows runs the guide's own words where the guide is at hand.


def snippets() -> dict[str, str]:
    """Return the guide's one-liners by the first thing they read; the guide's text has lost its indentation."""
    guide = ROOT.parent / "shared" / "seeds" / GUIDE
    if not guide.exists():
        pytest.skip(f"the guide is not present at {guide}")
    blocks = re.findall(r'python3 -c "\n(.*?)\n"\n', guide.read_text(encoding="utf-8"), re.DOTALL)
    names = {
        "optimize_best.json": "Monday check",
        "Delta": "verify the count",
        "backtest_config.py": "test a config change",
        "shap_summary.json": "read SHAP results",
        "risk_files": "health check",
    }
    found = {}
    for block in blocks:
        code = block.replace('\\"', '"')
        (name,) = (name for mark, name in names.items() if mark in code)
        found[name] = indented(code)
    assert len(found) == len(names)
    return found


BODIES = {
    "with tempfile.NamedTemporaryFile": 1,
    "if 'ranked_features' in data:": 7,
    "for f in data['ranked_features']": 1,
    "for f in model_files:": 2,
    "for f in risk_files:": 2,
}
"""How many lines the body of each compound statement has."""


def indented(code: str) -> str:
    """Give the bodies of compound statements their indentation back; nothing else changes."""
    lines = code.splitlines()
    depth = [0] * len(lines)
    for at, line in enumerate(lines):
        for head, length in BODIES.items():
            if line.startswith(head):
                for inner in range(at + 1, at + 1 + length):
                    depth[inner] += 1
    return "\n".join("    " * level + line for level, line in zip(depth, lines, strict=True))


def test_the_monday_check_reads_the_best_result(checkout: Path) -> None:
    printed = run_code(snippets()["Monday check"], checkout)
    assert printed.splitlines() == ["Best ever Score : 11.5", "Profile : balanced", "Achieved : 2024-06-02"]


def test_the_count_of_features_matches(checkout: Path) -> None:
    lines = run_code(snippets()["verify the count"], checkout).splitlines()
    assert [line.split(":")[1].strip() for line in lines] == ["55", "55", "0"]


def test_the_importance_summary_is_listed_from_both_ends(checkout: Path) -> None:
    lines = run_code(snippets()["read SHAP results"], checkout).splitlines()
    names = [entry.feature for entry in read_shap_summary(checkout / "models").ranked_features]
    assert [line.split()[1] for line in lines[1:11]] == names[:10]
    assert [line.split()[1] for line in lines[13:]] == names[-10:]


def test_the_health_check_finds_settings_and_models_in_order(checkout: Path) -> None:
    lines = run_code(snippets()["health check"], checkout).splitlines()
    assert lines[0] == "[OK] Features: 55 (expect 55)"
    assert lines[1] == "[OK] Risk: 1.5% CB: 5 Weekly DD: 12.0% Total halt: 30.0%"
    assert lines[2] == "[OK] Risk model enabled: True"
    verdicts = {line.rpartition(" ")[2]: line.rpartition(" ")[0] for line in lines[3:]}
    assert {file for file, verdict in verdicts.items() if verdict == "[OK]"} == {*SIGNAL_FILES, *LATER_FILES}


def test_a_config_change_is_tried_by_the_guides_own_words(checkout: Path) -> None:
    printed = run_code(snippets()["test a config change"], checkout)
    assert "SYNTHETIC DATA" in printed
    assert "out of sample" in printed
