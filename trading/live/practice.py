"""Models that learned on invented prices: said wherever they are used, and kept away from real money."""

from __future__ import annotations

from engine.inputs.models import Models
from novosky.errors import ModelError

PRACTICE_NOTE = (
    "SYNTHETIC models: they learned on the embedded, invented market; for practice, and worth nothing on real prices"
)


def refuse_practice_models(models: Models, *, real: bool) -> None:
    """Keep models of an invented market away from an account with real money.

    Raises
    ------
    ModelError
        They are, and it is.
    """
    if real and models.synthetic is not None:
        raise ModelError(
            f"these are {PRACTICE_NOTE}; they never trade real money: pull an approved set with "
            "`python ml/r2_hub.py --pull`, or train one on real bars"
        )
