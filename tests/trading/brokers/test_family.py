"""The family of brokers: every list of kinds follows from the packages, and a new one is one more package."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from commands.onboarding import onboarding
from commands.setup.answers import broker_choices
from novosky.environment import BROKER, VARIABLES
from novosky.errors import UsageError
from novosky.redaction import SECRET_NAME
from trading.brokers.family import account_kinds, broker_kinds, kind_named, names_of, reach_from_environment

ROOT = Path(__file__).parents[3]
ACCOUNT = {"MT5_LOGIN": "12345678", "MT5_SERVER": "Broker-Demo"}

NEW_BROKER = '''
"""A broker made for this test."""

from novosky.environment import Variable
from novosky.errors import UsageError
from trading.brokers.family import BrokerKind

KEY = Variable("ELSEWHERE_API_KEY", "the key of the account", secret=True)


def reach(environment):
    raise UsageError(f"{KEY.name} is not set")


KIND = BrokerKind("elsewhere", "elsewhere reaches an exchange", 3, (KEY,), f"{KEY.name} opens the account", reach)
'''
ASKED = """
from click.testing import CliRunner
from commands.onboarding import onboarding
from commands.setup.answers import broker_choices
from novosky.errors import UsageError
from trading.brokers.family import broker_kinds, reach_from_environment
from trading.doctor.broker import check_broker_access

print(*(kind.name for kind in broker_kinds()))
print(*broker_choices(windows=False))
print(CliRunner().invoke(onboarding, ["--help"]).output.count("elsewhere"))
for environment in ({}, {"NOVOSKY_BROKER": "elsewhere"}):
    try:
        reach_from_environment(environment)
    except UsageError as error:
        print(error)
print(check_broker_access("", "", "linux").mend)
print(check_broker_access("elsewhere", "ELSEWHERE_API_KEY is not set", "linux").text)
"""


def test_the_kinds_are_the_packages_that_have_an_entry() -> None:
    assert [kind.name for kind in broker_kinds()] == ["paper", "mt5", "bridge"]
    assert [kind.name for kind in account_kinds()] == ["mt5", "bridge"]
    assert names_of(account_kinds()) == "mt5 or bridge"
    assert kind_named("paper") is not None
    assert kind_named("kraken") is None


def test_every_list_of_brokers_follows_from_the_family() -> None:
    names = [kind.name for kind in broker_kinds()]
    (option,) = [each for each in onboarding.params if each.name == "broker"]
    assert list(option.type.choices) == names  # type: ignore[attr-defined]
    assert list(broker_choices(windows=True)) == names
    assert BROKER.purpose.endswith(names_of(broker_kinds()))


@pytest.mark.parametrize("kind", broker_kinds(), ids=lambda kind: kind.name)
def test_no_secret_of_a_broker_can_reach_the_log(kind: object) -> None:
    declared = {variable.name for variable in VARIABLES if variable.secret}
    for variable in kind.variables:  # type: ignore[attr-defined]
        assert not variable.secret or variable.name in declared or SECRET_NAME.search(variable.name), variable.name


def test_no_broker_and_an_unknown_one_are_told_what_there_is() -> None:
    for environment in ({}, {"NOVOSKY_BROKER": "paper"}, {"NOVOSKY_BROKER": "kraken"}):
        with pytest.raises(UsageError, match=r"set it to mt5 or bridge in .env .*MT5_LOGIN and MT5_SERVER name the"):
            reach_from_environment(environment)


def test_an_account_is_shown_without_its_number() -> None:
    reach = reach_from_environment({**ACCOUNT, "NOVOSKY_BROKER": "mt5"})
    assert "12345678" not in reach.key + reach.shown
    assert (reach.shown, reach.real) == ("demo account ...678 on Broker-Demo", False)


@pytest.mark.parametrize(
    "room", ["trading/live", "trading/cycle", "trading/reports", "trading/account", "trading/doctor"]
)
def test_the_bot_names_no_broker(room: str) -> None:
    """Which broker it is, is decided by the family: nothing above it imports one by name."""
    packages = [path.parent.name for path in (ROOT / "trading/brokers").glob("*/entry.py")]
    for file in (ROOT / "trading" / room).rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        assert not [name for name in packages if f"trading.brokers.{name}" in text], file


def test_a_new_broker_is_one_more_package(tmp_path: Path) -> None:
    for name in ("trading", "commands", "novosky", "engine", "alerts", "ml"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    package = tmp_path / "trading/brokers/elsewhere"
    package.mkdir()
    (package / "__init__.py").write_text('"""A broker made for this test."""\n', encoding="utf-8")
    (package / "entry.py").write_text(NEW_BROKER, encoding="utf-8")
    run = subprocess.run(
        [sys.executable, "-c", ASKED], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert run.returncode == 0, run.stderr
    kinds, choices, shown, none, unset, mend, refused = run.stdout.splitlines()
    assert kinds == "paper mt5 bridge elsewhere"
    assert choices == "paper bridge elsewhere"
    assert int(shown) >= 1
    assert "mt5, bridge or elsewhere" in none and "ELSEWHERE_API_KEY opens the account" in none
    assert unset == "ELSEWHERE_API_KEY is not set"
    assert mend.endswith("set NOVOSKY_BROKER to mt5, bridge or elsewhere")
    assert "ELSEWHERE_API_KEY" in refused
