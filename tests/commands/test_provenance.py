"""Every page says what it is about and how it came about."""

from __future__ import annotations

import pytest

from commands.shared.provenance import command_line
from tests.helpers.made_pages import MADE, MADE_TEXT


def test_a_page_is_told_in_words_that_html_cannot_misread() -> None:
    assert all(text in MADE.html() for text in MADE_TEXT)


def test_the_json_keys_are_those_that_do_not_change_from_run_to_run() -> None:
    assert MADE.as_dict() == {"symbol": "GER40", "timeframe": "M15", "profile": "balanced", "version": "1.2.3"}


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["/x/y/backtest_config.py", "--days", "30"], "python backtest_config.py --days 30"),
        (["scripts/sweep.py"], "python scripts/sweep.py"),
        (["/x/ml/tune/hyperparams.py", "--trials", "2"], "python ml/tune/hyperparams.py --trials 2"),
        (["/x/bin/novosky", "backtest", "--data", "my bars.csv"], "novosky backtest --data 'my bars.csv'"),
        (["/x/novosky/__main__.py", "backtest"], "novosky backtest"),
        (["novosky.exe", "sweep"], "novosky sweep"),
    ],
)
def test_the_command_stands_as_a_person_would_type_it(words: list[str], line: str) -> None:
    assert command_line(words) == line
