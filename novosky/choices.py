"""Names that settings, files and the options of commands choose among, light enough for every --help."""

from __future__ import annotations

from typing import Final, Literal, get_args

ProfileName = Literal["steady_income", "conservative", "balanced", "growth", "aggressive"]
PROFILE_NAMES: Final[tuple[ProfileName, ...]] = get_args(ProfileName)
"""In the order of their numbers, 1 to 5."""
AccountType = Literal["standard", "cent"]
ACCOUNT_TYPES: Final[tuple[AccountType, ...]] = get_args(AccountType)
MarketKind = Literal["planted", "null"]
MARKET_KINDS: Final[tuple[MarketKind, ...]] = get_args(MarketKind)
"""Of the embedded market: with an edge to find, and without."""
