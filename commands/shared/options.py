"""Options that several commands share, declared once."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from novosky.choices import PROFILE_NAMES
from novosky.data.places import configured_bars
from novosky.errors import UsageError
from novosky.market.timeframe import MOMENT_YEARS
from novosky.seeds import MOST_SEED
from novosky.web_address import check_web_address

F = TypeVar("F", bound=Callable[..., Any])
FILE = click.Path(dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)
SEED = click.IntRange(0, MOST_SEED)
"""A seed of models."""
PROFILE = click.Choice(PROFILE_NAMES)
MOST_DAYS = 36_500
"""Longest window that --days can ask for: a hundred years."""


def check_address_option(option: str, address: str) -> None:
    """Refuse the address of a host that cannot exist.

    Raises
    ------
    UsageError
        Names the option and what to write.
    """
    try:
        check_web_address(address)
    except ValueError as error:
        raise UsageError(f"{option} {address}: {error}") from None


class UtcDate(click.ParamType[datetime]):
    """A UTC date or moment: 2024-01-31 or 2024-01-31T12:00."""

    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Parse the text; fails as a usage error."""
        if isinstance(value, datetime):
            return value
        try:
            moment = datetime.fromisoformat(value)
            moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is not a date like 2024-01-31 or 2024-01-31T12:00", param, ctx)
        if moment.year not in MOMENT_YEARS:
            self.fail(f"{value!r} is not between {MOMENT_YEARS[0]} and {MOMENT_YEARS[-1]}", param, ctx)
        return moment


def data_option(purpose: str = "Bars of the configured time frame.") -> Callable[[F], F]:
    """Return an option --data whose default follows the symbol and time frame of --config."""

    def chosen(ctx: click.Context, param: click.Parameter, value: Path | None) -> Path:
        # A --config on the command line has been read by now; one that is not has its default.
        named = ctx.params.get("config") or ctx.params.get("new_config")
        return value or configured_bars(named or Path("config.json"))

    return click.option(
        "--data", type=FILE, callback=chosen, help=f"{purpose}  [data/SYMBOL_TIMEFRAME.parquet, as --config names them]"
    )


def refuse_collisions(outputs: Mapping[str, Path | None], inputs: Mapping[str, Path | None]) -> None:
    """Refuse to write over a file that is read, or two results into one file.

    Parameters
    ----------
    outputs, inputs : mapping
        Option names and the files they name; None where the option was not given.

    Raises
    ------
    UsageError
        Naming both options.
    """
    from novosky.errors import UsageError

    taken = {path.resolve(): option for option, path in inputs.items() if path is not None}
    for option, path in outputs.items():
        if path is None:
            continue
        place = path.resolve()
        for used, other in taken.items():
            if place == used or (other == "--models" and used in place.parents):
                raise UsageError(f"{option} and {other} name the same place {path}; nothing was read or written")
        taken[place] = option


def file_options(function: F) -> F:
    """Add --config, --ml-config, --models, --calendar; a deployment that was killed half-way is completed first."""
    function = _recovering(function)
    for option in (
        click.option("--calendar", type=FILE, help="News calendar (Parquet); without it no event is ever near."),
        click.option("--models", type=FOLDER, default=Path("models"), show_default=True, help="Model directory."),
        click.option(
            "--ml-config", type=FILE, default=Path("ml_config.json"), show_default=True, help="Model settings."
        ),
        click.option("--config", type=FILE, default=Path("config.json"), show_default=True, help="Runtime settings."),
    ):
        function = option(function)
    return function


def _recovering(function: F) -> F:
    """Let a command begin by completing what a killed pull or rollback had committed."""

    @functools.wraps(function)
    def recovered(*arguments: Any, models: Path, config: Path, ml_config: Path, **given: Any) -> Any:
        from ml.sets.deployment import Deployment, recover

        recover(Deployment(models, config, ml_config))
        return function(*arguments, models=models, config=config, ml_config=ml_config, **given)

    return cast(F, recovered)


def account_options(function: F) -> F:
    """Add the account and cost flags that backtest and paper share."""
    for option in (
        click.option("--max-lot", type=click.FloatRange(min=0, min_open=True), help="Largest lot."),
        click.option("--cent-account", is_flag=True, help="A lot is a hundredth of a standard lot; sums stay in USD."),
        click.option("--slippage", type=click.FloatRange(min=0), help="USD by which market and stop fills are worse."),
        click.option("--commission", type=click.FloatRange(min=0), help="USD per lot and side."),
        click.option("--swap-short", type=float, help="USD per lot and night for shorts, negative is paid."),
        click.option("--swap-long", type=float, help="USD per lot and night for longs, negative is paid."),
        click.option("--no-swap", is_flag=True, help="Swap-free account."),
        click.option("--spread", type=click.FloatRange(min=0), help="USD; replaces the bars' own spread too."),
        click.option("--leverage", type=click.FloatRange(min=1), help="Account leverage."),
        click.option("--balance", type=click.FloatRange(min=0, min_open=True), help="Starting balance in USD."),
    ):
        function = option(function)
    return function
