"""The section `costs` of config.json: fees, carry, spread and slippage of simulation and paper."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from novosky.market.costs import Carry, CostModel, Fees
from novosky.settings.base import Section

BusinessDay = Literal["monday", "tuesday", "wednesday", "thursday", "friday"]

_LATER_COST_KEYS = frozenset(
    {"fees", "maker_fee_pct", "taker_fee_pct", "min_fee", "carry", "funding_rate_pct", "funding_hours_utc"}
)
"""Keys of `costs` that came after accounts were begun without them."""


class Costs(Section):
    """What trading costs in simulation and paper. The keys of a model must be written; zero is a statement too."""

    spread: float = Field(ge=0)
    """Ask minus bid in USD, used where bars carry no spread of their own."""
    bar_spread: Literal["floor", "as_is"] = "floor"
    """Bars whose own spread is 0, or below a tenth of `spread`, pay `spread`; as_is takes them as they are."""
    fees: Literal["per_lot", "maker_taker"] = "per_lot"
    """How fills are charged: `commission_per_lot` as brokers do, or shares of the fill's value as exchanges do."""
    commission_per_lot: float = Field(ge=0)
    """USD per standard lot and side, charged on the entry deal and on the exit deal; 0 with maker_taker."""
    maker_fee_pct: float | None = Field(None, ge=-0.1, le=2)
    """Percent of the fill's value where a target is filled, which rests in the book; negative is a rebate."""
    taker_fee_pct: float | None = Field(None, ge=0, le=2)
    """Percent of the fill's value of every other fill."""
    min_fee: float = Field(0.0, ge=0)
    """USD that a fill pays at least, with maker_taker."""
    slippage: float = Field(ge=0)
    """USD by which every market or stop fill is worse than its quote; targets fill at their price."""
    carry: Literal["nights", "funding"] = "nights"
    """What holding a position costs: swap at the server's midnights, or funding at hours of the day."""
    swap_long: float
    """USD per standard lot and night for a long position; negative is paid. 0 with funding."""
    swap_short: float
    """USD per standard lot and night for a short position; negative is paid. 0 with funding."""
    triple_swap_day: BusinessDay | None = "friday"
    """The server day whose night counts three times, for the weekend's nights, or null for none."""
    funding_rate_pct: float | None = Field(None, ge=-4, le=4)
    """Percent of the position's value that a long pays, and a short gets, at each of the hours."""
    funding_hours_utc: tuple[int, ...] | None = None
    """Hours at which funding is due, ascending, e.g. [0, 8, 16]."""

    @model_validator(mode="after")
    def _of_one_model(self) -> Self:
        self._check_fees()
        self._check_carry()
        return self

    def _check_fees(self) -> None:
        shares = {"maker_fee_pct": self.maker_fee_pct, "taker_fee_pct": self.taker_fee_pct}
        if self.fees == "maker_taker":
            unstated = [name for name, value in shares.items() if value is None]
            if unstated:
                raise ValueError(f"fees is maker_taker: state {' and '.join(unstated)}, zero is a statement too")
            if self.commission_per_lot:
                raise ValueError("fees is maker_taker: commission_per_lot would be charged on top; set it to 0")
        elif any(value is not None for value in shares.values()) or self.min_fee:
            raise ValueError('maker_fee_pct, taker_fee_pct and min_fee charge nothing unless "fees" is "maker_taker"')

    def _check_carry(self) -> None:
        hours = self.funding_hours_utc
        if self.carry == "funding":
            if self.funding_rate_pct is None or not hours:
                raise ValueError("carry is funding: state funding_rate_pct and funding_hours_utc")
            if list(hours) != sorted(set(hours)) or hours[0] < 0 or hours[-1] > 23:
                raise ValueError("funding_hours_utc are hours from 0 to 23, ascending and each once")
            if self.swap_long or self.swap_short:
                raise ValueError("carry is funding: swap_long and swap_short would never be charged; set them to 0")
        elif self.funding_rate_pct is not None or hours is not None:
            raise ValueError('funding_rate_pct and funding_hours_utc charge nothing unless "carry" is "funding"')

    @model_serializer(mode="wrap")
    def _without_the_other_model(self, handler: SerializerFunctionWrapHandler) -> dict[str, object]:
        """Leave out keys that say nothing: an account that was begun before they existed keeps its identity."""
        content: dict[str, object] = handler(self)
        silent = {name: field.default for name, field in type(self).model_fields.items() if name in _LATER_COST_KEYS}
        return {name: value for name, value in content.items() if name not in silent or value != silent[name]}

    @property
    def model(self) -> CostModel:
        """The same as plain values, per standard lot and in shares."""
        fees = Fees(
            per_lot=self.commission_per_lot,
            maker=(self.maker_fee_pct or 0.0) / 100.0,
            taker=(self.taker_fee_pct or 0.0) / 100.0,
            least=self.min_fee,
        )
        carry = Carry(
            long=self.swap_long,
            short=self.swap_short,
            triple=self.triple_swap_day,
            funding=(self.funding_rate_pct or 0.0) / 100.0,
            hours=self.funding_hours_utc or (),
        )
        return CostModel(fees, carry, self.slippage)
