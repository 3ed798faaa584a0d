"""Answers as people write them, and settings edited where they stand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from commands.onboarding import onboarding
from commands.setup.answers import broker_choices
from commands.shared.questions import ask, read_amount, read_choice, read_yes_no
from novosky.settings.text_edit import edited

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("1000", 1000.0),
        ("$1,000", 1000.0),
        ("1,234,567.25", 1234567.25),
        ("1 000 USD", 1000.0),
        ("1000$", 1000.0),
        ("usd 750.5", 750.5),
        ("1_000", 1000.0),
        ("500 dollars", 500.0),
    ],
)
def test_amounts_are_read_as_people_write_them(text: str, amount: float) -> None:
    assert read_amount(text) == amount


@pytest.mark.parametrize(
    "text", ["1.5%", "", "much", "1,00", "1,0000", "1.000,50", "-5", "1e3", "nan", "$", "1 000 EUR"]
)
def test_what_is_no_amount_is_answered_in_words(text: str) -> None:
    with pytest.raises(ValueError, match=r"percentage|no amount of USD"):
        read_amount(text)


@pytest.mark.parametrize(("text", "meant"), [("yes", True), ("Y", True), ("no", False), ("N", False)])
def test_yes_and_no(text: str, meant: bool) -> None:
    assert read_yes_no(text) is meant


def test_a_choice_may_be_shortened_where_that_is_clear() -> None:
    read = read_choice(("paper", "bridge"))
    assert (read("PAPER"), read("br")) == ("paper", "bridge")
    for text in ("", "x", "mt5"):
        with pytest.raises(ValueError, match="none of paper, bridge"):
            read(text)


def test_a_question_mark_explains_and_asks_again() -> None:
    @click.command()
    def question() -> None:
        click.echo(f"got {ask('How much', 'The sum you begin with.', None, read_amount)}")

    result = CliRunner().invoke(question, input="?\nsome\n$1,000\n")
    assert "The sum you begin with." in result.output
    assert "'some' is no amount of USD" in result.output
    assert "got 1000.0" in result.output
    assert "Error" not in result.output


def test_a_terminal_is_offered_where_its_package_exists() -> None:
    assert broker_choices(windows=True) == ("paper", "mt5", "bridge")
    assert broker_choices(windows=False) == ("paper", "bridge")


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("config.json", "ml_config.json"):
        (tmp_path / name).write_text((ROOT / name).read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.platform", "linux")
    return tmp_path


def test_mt5_on_another_system_is_refused_with_the_reason(checkout: Path) -> None:
    result = CliRunner().invoke(onboarding, ["--profile", "3", "--non-interactive", "--broker", "mt5"])
    assert "Windows only" in str(result.exception)
    result = CliRunner().invoke(onboarding, ["--profile", "3"], input="\n\nmt5\npaper\n\n\n\n\n")
    assert "mt5 is not offered" in result.output
    assert "'mt5' is none of paper, bridge" in result.output


def test_onboarding_begins_with_what_it_is_and_ends_with_what_to_do(checkout: Path) -> None:
    result = CliRunner().invoke(onboarding, [], input="balanced\n$1,000\n\n\n\n\n\n\n")
    assert result.exit_code == 0, result.output
    assert result.output.startswith("NOVOSKY set-up\nSix questions")
    tail = result.output.partition("\nnext:\n")[2]
    assert "novosky models starter" in tail and "python trading.py --paper" in tail


def test_onboarding_changes_only_the_lines_of_changed_values(checkout: Path) -> None:
    before = (checkout / "config.json").read_text(encoding="utf-8").splitlines()
    CliRunner().invoke(onboarding, ["--profile", "3", "--non-interactive", "--balance", "$1,000"])
    after = (checkout / "config.json").read_text(encoding="utf-8").splitlines()
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert [new.strip() for _, new in changed] == [
        '"risk_profile": {"name": "balanced", "scale": "selectivity", "starting_balance_usd": 1000},'
    ]


def test_what_the_environment_says_is_offered_first(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOVOSKY_BROKER", "bridge")
    monkeypatch.setenv("NOVOSKY_BRIDGE_URL", "https://bridge.example:8765")
    result = CliRunner().invoke(onboarding, ["--dry-run"], input="\n" * 8)
    assert result.exit_code == 0, result.output
    assert "4. Broker (paper, bridge) [bridge]" in result.output
    assert "NOVOSKY_BRIDGE_URL=https://bridge.example:8765" in result.output


SHIPPED = (ROOT / "config.json").read_text(encoding="utf-8")
scalars = st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(-1e6, 1e6) | st.text(max_size=8)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=4)
)
objects = st.dictionaries(st.text(max_size=6), values, max_size=5)


@given(objects, objects, st.sampled_from([None, 2]))
def test_an_edited_text_means_what_it_shall(old: dict[str, Any], new: dict[str, Any], indent: int | None) -> None:
    text = json.dumps(old, indent=indent)
    assert json.loads(edited(text, new)) == new
    assert json.loads(edited(text, {**old, **new})) == {**old, **new}


@given(objects, st.sampled_from([None, 2, 4]))
def test_where_nothing_changes_no_byte_does(content: dict[str, Any], indent: int | None) -> None:
    text = json.dumps(content, indent=indent) + "\n\n"
    assert edited(text, content) == text


def test_strings_that_look_like_structure_are_left_alone() -> None:
    text = '{ "a": "}],{\\"", "b" : [1, {"c": "x"}] ,\r\n "d": 1.50 }'
    assert edited(text, {"a": '}],{"', "b": [1, {"c": "x"}], "d": 2.0}) == text.replace("1.50", "2")


def test_a_new_key_follows_the_layout_of_its_section() -> None:
    content = json.loads(SHIPPED)
    content["risk_profile"]["new"] = 1
    content["account"]["new"] = True
    content["broker"]["new"] = 1.5
    result = edited(SHIPPED, content)
    assert '"starting_balance_usd": 500, "new": 1}' in result
    assert '"stop_out_level": 50, "new": true}' in result
    assert '"trading_hours": {},\n    "new": 1.5\n  }' in result
