"""config.json and ml_config.json: what is accepted, and how every mistake is explained."""

from __future__ import annotations

import copy
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ml.feature_engineering import get_feature_names
from novosky.errors import SettingsError, UsageError
from novosky.settings import MlSettings, Settings, load_ml_settings, load_settings
from novosky.settings.base import Section
from novosky.settings.loading import schema_of
from novosky.settings.overrides import AccountFlags, apply_flags

ROOT = Path(__file__).resolve().parents[3]
CONFIG: dict[str, Any] = json.loads((ROOT / "config.json").read_text(encoding="utf-8"))
ML_CONFIG: dict[str, Any] = json.loads((ROOT / "ml_config.json").read_text(encoding="utf-8"))


def section_of(content: dict[str, Any], section: str) -> dict[str, Any]:
    """Return the section at a dotted place; the whole for the empty place."""
    for name in filter(None, section.split(".")):
        content = content[name]
    return content


def changed(content: dict[str, Any], place: str, value: Any) -> dict[str, Any]:
    """Return the settings with the key at a dotted place set."""
    result = copy.deepcopy(content)
    section, _, key = place.rpartition(".")
    section_of(result, section)[key] = value
    return result


def without(content: dict[str, Any], place: str) -> dict[str, Any]:
    """Return the settings with the key at a dotted place removed."""
    result = copy.deepcopy(content)
    section, _, key = place.rpartition(".")
    del section_of(result, section)[key]
    return result


def places(content: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield the dotted place of every key."""
    for key, value in content.items():
        yield prefix + key
        if isinstance(value, dict) and key != "trading_hours":
            yield from places(value, f"{prefix}{key}.")


def refusal(folder: Path, content: dict[str, Any] | str, *, ml: bool = False) -> str:
    """Return the message with which a settings file is refused."""
    file = folder / "settings.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        _ = load_ml_settings(file) if ml else load_settings(file)
    assert str(caught.value).startswith(str(file))
    return str(caught.value)


def test_the_shipped_settings_load(root: Path) -> None:
    settings, ml_settings = load_settings(root / "config.json"), load_ml_settings(root / "ml_config.json")
    assert settings.symbol == "BTCUSD"
    assert settings.dynamic_position_sizing.risk_percent == 1.5
    assert ml_settings.features == tuple(get_feature_names())


def test_the_shipped_settings_write_every_default_down() -> None:
    # What a person reads in the file is what runs: no key is left to a default they cannot see.
    assert set(places(Settings.model_validate(CONFIG).model_dump(by_alias=True))) == set(places(CONFIG))
    assert set(places(MlSettings.model_validate(ML_CONFIG).model_dump(by_alias=True))) == set(places(ML_CONFIG))


def test_settings_cannot_be_changed_after_loading(root: Path) -> None:
    settings = load_settings(root / "config.json")
    with pytest.raises(ValidationError, match="frozen"):
        settings.max_daily_loss = 50.0
    with pytest.raises(ValidationError, match="frozen"):
        settings.costs.spread = 0.0


@pytest.mark.parametrize(
    ("place", "suggestion"),
    [
        ("max_daily_los", "max_daily_loss"),
        ("costs.spred", "spread"),
        ("dynamic_position_sizing.risk_percnt", "risk_percent"),
        ("adx_filter.enable", "enabled"),
        ("equity_curve_filter.pause_hour", "pause_hours"),
        # Right key, wrong section: the home is named.
        ("risk_percent", "dynamic_position_sizing.risk_percent"),
        ("costs.leverage", "account.leverage"),
        ("risk_percnt", "dynamic_position_sizing.risk_percent"),
    ],
)
def test_a_misspelt_key_is_refused_with_a_suggestion(tmp_path: Path, place: str, suggestion: str) -> None:
    message = refusal(tmp_path, changed(CONFIG, place, 1))
    assert f"{place}: unknown key; did you mean {suggestion!r}?" in message


def test_a_misspelt_model_key_is_refused_with_a_suggestion(tmp_path: Path) -> None:
    message = refusal(tmp_path, changed(ML_CONFIG, "signal_model.xgb.learning_rat", 0.1), ml=True)
    assert "signal_model.xgb.learning_rat: unknown key; did you mean 'learning_rate'?" in message


def test_an_unknown_key_like_no_other_lists_the_known_ones(tmp_path: Path) -> None:
    message = refusal(tmp_path, changed(CONFIG, "adx_filter.zzz", 1))
    assert "adx_filter.zzz: unknown key; known keys: enabled, min_adx" in message


@given(data=st.data())
def test_any_misspelling_of_any_key_is_refused_naming_its_place(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    ml = data.draw(st.booleans())
    content = ML_CONFIG if ml else CONFIG
    place = data.draw(st.sampled_from(sorted(places(content))))
    section, _, key = place.rpartition(".")
    siblings = {other.rpartition(".")[2] for other in places(content) if other.rpartition(".")[0] == section}
    at = data.draw(st.integers(0, len(key) - 1))
    letter = data.draw(st.sampled_from("abcdefghijklmnopqrstuvwxyz_"))
    wrong = data.draw(st.sampled_from([key[:at] + key[at + 1 :], key[:at] + letter + key[at:], key.upper()]))
    if wrong in siblings:
        return
    wrong_place = f"{section}.{wrong}" if section else wrong
    misspelt = changed(without(content, place), wrong_place, section_of(content, section)[key])
    message = refusal(tmp_path_factory.mktemp("misspelt"), misspelt, ml=ml)
    assert f"\n  {wrong_place}: unknown key; did you mean " in message


def test_all_mistakes_are_listed_at_once(tmp_path: Path) -> None:
    content = changed(CONFIG, "costs.spred", 1)
    content = changed(content, "max_daily_loss", -1)
    content = changed(content, "account.leverage", "high")
    content = without(content, "costs.slippage")
    message = refusal(tmp_path, content)
    assert "has 4 mistake(s)" in message
    for place in ("costs.spred", "max_daily_loss", "account.leverage", "costs.slippage"):
        assert f"\n  {place}: " in message


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("max_daily_loss", 0),
        ("max_daily_loss", 100.5),
        ("max_weekly_drawdown_pct", -1),
        ("max_total_drawdown_pct", 0),
        ("max_consecutive_losses", 0),
        ("dynamic_position_sizing.risk_percent", 11),
        ("dynamic_position_sizing.min_lot", 0),
        ("dynamic_position_sizing.min_lot", 20),
        ("session_confidence.london", 1.01),
        ("news_block_minutes", -1),
        ("equity_curve_filter.lookback_trades", 33),
        ("costs.spread", -0.01),
        ("costs.commission_per_lot", -1),
        ("costs.slippage", -1),
        ("costs.triple_swap_day", "sunday"),
        ("account.leverage", 0.5),
        ("account_type", "demo"),
        ("timeframe", "D1"),
        ("symbol", ""),
        ("symbol", " "),
        ("symbol", "BTCUSD "),
        ("symbol", "BTC\0USD"),
        ("symbol", "BTC\nUSD"),
        ("symbol", "A" * 65),
        ("broker.point", 0),
        ("broker.volume_min", 200),
        ("broker.volume_step", 0),
        ("broker.server_clock", "UTC+2"),
        ("broker.trading_hours", {"someday": "closed"}),
        ("broker.trading_hours", {"monday": "22:00-22:00"}),
        ("broker.trading_hours", {"monday": "00:00-12:00, 11:00-22:00"}),
        ("broker.trading_hours", {"monday": "22:00-02:00", "tuesday": "01:00-12:00"}),
        ("broker.trading_hours", {"monday": ""}),
        ("risk_profile.name", "reckless"),
        ("risk_profile.starting_balance_usd", 0),
    ],
)
def test_a_value_out_of_range_is_refused_naming_its_key(tmp_path: Path, place: str, value: Any) -> None:
    # Rules between two keys name their section.
    section = place.rpartition(".")[0] or place
    assert f"\n  {section}" in refusal(tmp_path, changed(CONFIG, place, value))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("features", []),
        ("features", ["rsi_14", "rsi_14"]),
        ("risk_model.features", ["equity_ratio"]),
        ("prediction.confidence_threshold", 1.5),
        ("labeling.horizon_bars", 0),
        ("signal_model.calibration_folds", 1),
        ("training.device", "tpu"),
    ],
)
def test_a_model_value_out_of_range_is_refused(tmp_path: Path, place: str, value: Any) -> None:
    assert place.partition(".")[0] in refusal(tmp_path, changed(ML_CONFIG, place, value), ml=True)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("max_consecutive_losses", "5"),
        ("max_consecutive_losses", 5.5),
        ("max_consecutive_losses", True),
        ("dynamic_position_sizing.risk_percent", "1.5"),
        ("dynamic_position_sizing.risk_percent", None),
        ("dynamic_position_sizing", 1.5),
        ("risk_model.enabled", "no"),
        ("risk_model.enabled", 0),
        ("costs", []),
        ("symbol", 7),
    ],
)
def test_a_value_of_another_type_is_refused_not_converted(tmp_path: Path, place: str, value: Any) -> None:
    assert f"\n  {place}: " in refusal(tmp_path, changed(CONFIG, place, value))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_are_none_are_refused(tmp_path: Path, number: str) -> None:
    text = json.dumps(changed(CONFIG, "costs.swap_long", -12345)).replace("-12345", number)
    said = "is too large" if number == "1e999" else f"{number} is no number of JSON"
    assert re.search(rf"costs\.swap_long: .*{said}", refusal(tmp_path, text))


def test_a_key_written_twice_is_refused(tmp_path: Path) -> None:
    text = json.dumps(CONFIG).replace('"slippage": ', '"slippage": 9.0, "slippage": ')
    assert "key 'slippage' is written twice" in refusal(tmp_path, text)


@pytest.mark.parametrize("key", ["spread", "commission_per_lot", "slippage", "swap_long", "swap_short"])
def test_costs_have_no_defaults(tmp_path: Path, key: str) -> None:
    assert f"costs.{key}: missing; write it down" in refusal(tmp_path, without(CONFIG, f"costs.{key}"))


def test_the_costs_section_itself_has_no_default(tmp_path: Path) -> None:
    assert "costs: missing; write it down" in refusal(tmp_path, without(CONFIG, "costs"))


@pytest.mark.parametrize(
    "text", ["", "{", "{} trailing", '{"symbol": "BTCUSD",}', "[" * 5000, "symbol: BTCUSD"], ids=range(6)
)
def test_text_that_is_not_json_is_refused(tmp_path: Path, text: str) -> None:
    assert "is not valid JSON" in refusal(tmp_path, text)


@pytest.mark.parametrize("text", ["[]", "null", "7"])
def test_json_that_is_not_an_object_is_refused(tmp_path: Path, text: str) -> None:
    assert "should be an object" in refusal(tmp_path, text)


def test_a_long_wrong_value_is_not_printed_whole(tmp_path: Path) -> None:
    assert len(refusal(tmp_path, changed(CONFIG, "max_daily_loss", ["x" * 5000] * 50))) < 500


def test_bytes_that_are_not_text_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings(file)


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps(CONFIG), encoding="utf-8-sig")
    assert load_settings(file).symbol == "BTCUSD"


def test_a_missing_file_is_named_with_the_mend(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.json does not exist; .*--config"):
        load_settings(tmp_path / "nowhere.json")


@pytest.mark.parametrize(
    ("name", "model", "content"),
    [("config.schema.json", Settings, CONFIG), ("ml_config.schema.json", MlSettings, ML_CONFIG)],
)
def test_the_stored_schema_is_current(root: Path, name: str, model: type[Section], content: dict[str, Any]) -> None:
    stored = root / "novosky" / "settings" / name
    assert (root / content["$schema"]).samefile(stored), "editors find the schema through the file itself"
    assert stored.read_text(encoding="utf-8") == schema_of(model), "run `novosky schema` after changing the settings"


def test_the_schema_command_writes_what_is_stored(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root / "novosky", tmp_path / "novosky", ignore=shutil.ignore_patterns("__pycache__"))
    stored = sorted((root / "novosky" / "settings").glob("*.schema.json"))
    copies = [tmp_path / file.relative_to(root) for file in stored]
    for file in copies:
        file.write_text("stale")
    code = "from commands.schema import schema; schema()"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [f"wrote {file}" for file in copies]
    assert [file.read_bytes() for file in copies] == [file.read_bytes() for file in stored]


@pytest.mark.parametrize(("name", "content"), [("config", CONFIG), ("ml_config", ML_CONFIG)])
def test_every_shipped_key_is_known_and_explained_to_the_editor(name: str, content: dict[str, Any]) -> None:
    whole = json.loads((ROOT / "novosky" / "settings" / f"{name}.schema.json").read_text(encoding="utf-8"))

    def check(section: dict[str, Any], described: dict[str, Any]) -> None:
        assert described["additionalProperties"] is False
        for key, value in section.items():
            known = described["properties"][key]
            if isinstance(value, dict) and "$ref" in known:
                check(value, whole["$defs"][known["$ref"].rpartition("/")[2]])

    check(content, whole)


def loaded() -> Settings:
    return load_settings(ROOT / "config.json")


def test_without_flags_the_settings_stay_as_they_are() -> None:
    assert apply_flags(loaded(), AccountFlags()) == loaded()


def test_each_flag_replaces_its_key() -> None:
    settings = apply_flags(
        loaded(),
        AccountFlags(
            balance=1234.0,
            leverage=50.0,
            spread=3.0,
            swap_long=-7.0,
            swap_short=2.0,
            commission=1.5,
            slippage=0.0,
            cent_account=True,
            max_lot=0.5,
        ),
    )
    assert settings.risk_profile.starting_balance_usd == 1234.0
    assert settings.account.leverage == 50.0
    assert settings.costs.model_dump() == {
        "spread": 3.0,
        "bar_spread": "floor",
        "commission_per_lot": 1.5,
        "slippage": 0.0,
        "swap_long": -7.0,
        "swap_short": 2.0,
        "triple_swap_day": "friday",
    }
    assert settings.account_type == "cent"
    assert settings.dynamic_position_sizing.max_lot == 0.5


def test_a_swap_free_account_pays_no_swap() -> None:
    costs = apply_flags(loaded(), AccountFlags(no_swap=True)).costs
    assert (costs.swap_long, costs.swap_short) == (0.0, 0.0)


@pytest.mark.parametrize(
    "flags",
    [AccountFlags(no_swap=True, swap_long=-1.0), AccountFlags(no_swap=True, swap_short=0.0)],
)
def test_flags_that_contradict_each_other_are_refused(flags: AccountFlags) -> None:
    with pytest.raises(UsageError, match="--no-swap contradicts"):
        apply_flags(loaded(), flags)


@pytest.mark.parametrize(
    ("flags", "place"),
    [
        (AccountFlags(leverage=6000.0), "account.leverage"),
        (AccountFlags(leverage=0.0), "account.leverage"),
        (AccountFlags(balance=0.0), "risk_profile.starting_balance_usd"),
        (AccountFlags(balance=float("inf")), "risk_profile.starting_balance_usd"),
        (AccountFlags(spread=-1.0), "costs.spread"),
        (AccountFlags(spread=float("nan")), "costs.spread"),
        (AccountFlags(commission=-1.0), "costs.commission_per_lot"),
        (AccountFlags(slippage=-1.0), "costs.slippage"),
        (AccountFlags(swap_long=float("nan")), "costs.swap_long"),
        (AccountFlags(max_lot=0.001), "dynamic_position_sizing"),
    ],
)
def test_a_flag_out_of_range_is_refused_naming_its_key(flags: AccountFlags, place: str) -> None:
    with pytest.raises(UsageError, match=f"flag for {place}: "):
        apply_flags(loaded(), flags)


@pytest.mark.parametrize(
    ("point", "digits", "right"),
    [
        (0.001, 2, "0.01"),
        (0.01, 3, "0.001"),
        (0.1, 2, "0.01"),
        (1e-9, 2, "0.01"),
        (0.01, 0, "1"),
        (0.02, 2, "0.01"),
        (0.0101, 2, "0.01"),
        (0.00001, 4, "0.0001"),
        (1.0, 5, "0.00001"),
    ],
)
def test_a_point_that_is_not_that_of_its_digits_is_refused(
    point: float, digits: int, right: str, tmp_path: Path
) -> None:
    content = changed(changed(CONFIG, "broker.point", point), "broker.digits", digits)
    assert f"with digits {digits} it is {right};" in refusal(tmp_path, content)


@pytest.mark.parametrize("digits", range(9))
def test_the_point_of_its_digits_is_accepted(digits: int, tmp_path: Path) -> None:
    content = changed(changed(CONFIG, "broker.point", float(f"1e-{digits}")), "broker.digits", digits)
    (tmp_path / "c.json").write_text(json.dumps(content), encoding="utf-8")
    assert load_settings(tmp_path / "c.json").broker.digits == digits
