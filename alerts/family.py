"""The family of alert channels: every file in `alerts.channels` is one, listed nowhere else."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from importlib import import_module
from typing import cast

import alerts.channels
from alerts.port import Access, Kind
from novosky.environment import Variable


def channel_names() -> tuple[str, ...]:
    """Return the names of all channels, in alphabetical order; imports none of them."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(alerts.channels.__path__)))


def channel_kind(name: str) -> Kind:
    """Return the module of a channel."""
    return cast(Kind, import_module(f"alerts.channels.{name}"))


def channel_kinds() -> dict[str, Kind]:
    """Return the modules of all channels by their names."""
    return {name: channel_kind(name) for name in channel_names()}


def channel_variables() -> tuple[Variable, ...]:
    """Return the environment variables of all channels."""
    return tuple(variable for kind in channel_kinds().values() for variable in kind.VARIABLES)


def configured_channels(environment: Mapping[str, str]) -> tuple[Access, ...]:
    """Return the channels that the environment sets up, in alphabetical order.

    Raises
    ------
    SettingsError
        One is set up in part, or wrongly. The message shows no value.
    """
    found = (kind.configured(environment) for kind in channel_kinds().values())
    return tuple(access for access in found if access is not None)


def how_to_configure() -> str:
    """Return which variables set a channel up, in words, e.g. "A and B, or C"."""
    return ", or ".join(" and ".join(kind.NEEDED) for kind in channel_kinds().values())
