"""The channels are the files of their folder, and every one is held to the contract."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import alerts.channels
from alerts.family import (
    channel_kind,
    channel_kinds,
    channel_names,
    channel_variables,
    configured_channels,
    how_to_configure,
)
from novosky.environment import VARIABLES
from novosky.errors import SettingsError
from tests.contracts.channel import ChannelContract

FOLDER = Path(alerts.channels.__file__).parent


def test_the_list_is_the_folder() -> None:
    assert channel_names() == tuple(sorted(path.stem for path in FOLDER.glob("[a-z]*.py")))
    assert {"telegram", "webhook"} <= set(channel_names())


@pytest.mark.parametrize("name", channel_names())
def test_every_channel_inherits_the_contract(name: str) -> None:
    module = importlib.import_module(f"tests.alerts.channels.test_{name}")
    held = [each for each in vars(module).values() if isinstance(each, type) and issubclass(each, ChannelContract)]
    assert [each for each in held if each is not ChannelContract], f"tests/alerts/channels/test_{name}.py tests nothing"


def test_no_variable_is_declared_twice() -> None:
    names = [variable.name for variable in (*VARIABLES, *channel_variables())]
    assert len(names) == len(set(names))


def test_what_is_configured_is_found_in_order() -> None:
    environment = {
        "NOVOSKY_WEBHOOK_URL": "https://hooks.example/x",
        "TELEGRAM_BOT_TOKEN": "1:a",
        "TELEGRAM_CHAT_IDS": "5, -7",
    }
    assert configured_channels({}) == ()
    found = configured_channels(environment)
    assert [(each.name, each.reach) for each in found] == [("telegram", "2 chat(s)"), ("webhook", "hooks.example")]
    with pytest.raises(SettingsError, match="TELEGRAM_CHAT_IDS"):
        configured_channels({**environment, "TELEGRAM_CHAT_IDS": ""})


def test_the_way_to_configure_names_what_each_needs() -> None:
    assert how_to_configure() == "TELEGRAM_BOT_TOKEN and TELEGRAM_CHAT_IDS, or NOVOSKY_WEBHOOK_URL"
    assert all(name in how_to_configure() for kind in channel_kinds().values() for name in kind.NEEDED)


def test_listing_the_channels_loads_no_client() -> None:
    code = (
        "import sys, alerts.family as f; f.channel_kinds(); f.configured_channels({}); "
        "print(sorted({'telegram', 'httpx'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]", "a command's --help must not wait for them"


def test_a_new_file_is_a_new_channel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pager.py").write_text(
        "from novosky.environment import Variable\n"
        "TITLE, PURPOSE, NEEDED = 'Pager', 'It beeps.', ('PAGER_KEY',)\n"
        "VARIABLES = (Variable('PAGER_KEY', 'its key', secret=True),)\n"
        "def configured(environment):\n    return None\n"
    )
    monkeypatch.setattr(alerts.channels, "__path__", [str(FOLDER), str(tmp_path)])
    assert channel_names() == ("pager", "telegram", "webhook")
    assert channel_kind("pager").TITLE == "Pager"
    assert "PAGER_KEY" in {variable.name for variable in channel_variables()}
    assert how_to_configure().startswith("PAGER_KEY, or ")
    sys.modules.pop("alerts.channels.pager")
