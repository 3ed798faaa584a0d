"""`config.json`: what is traded, how much is risked, what it costs, when to stand aside.

Percentages are written as percent (1.5 means 1.5 %), money and prices in USD, stops and
targets as multiples of ATR(14). Every default stands here and nowhere else.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from novosky.choices import AccountType, ProfileName
from novosky.errors import SettingsError
from novosky.market.instrument import USUAL_SYMBOL, Instrument, TradingCalendar, currencies_of
from novosky.market.timeframe import TRADED, USUAL, Timeframe, timeframe
from novosky.market.trading_hours import Weekday
from novosky.settings.base import Section
from novosky.settings.costs import Costs
from novosky.settings.roles import Role
from novosky.settings.swept import (
    Swept,
    at_most,
    filter_told,
    filtered,
    or_times,
    sessions,
    sessions_told,
    switched_on,
    within,
)
from novosky.web_address import check_web_address

HOUSE_CURRENCY = "USD"
"""In which settings state prices and money."""
Percent = Field(gt=0, le=100)
_PRINTED = r"^[^\x00-\x20\x7f]([^\x00-\x1f\x7f]*[^\x00-\x20\x7f])?$"
"""One line of text, without blanks around it."""
_MODEL_NAMES_DISTANCES = "ml_config.ml_sltp.enabled"


class DynamicPositionSizing(Section):
    """How the lot size follows from equity and the distance to the stop."""

    risk_percent: Annotated[
        float, Role.STRATEGY, Swept(("risk_percent",), "risk %", within(lambda reach: reach.profile.risk_percent, 3))
    ] = Field(1.5, gt=0, le=10)
    """Percent of equity put at risk by one trade before multipliers."""
    min_lot: Annotated[float, Role.LIMIT] = Field(0.01, gt=0)
    """Smallest lot to send; a trade that cannot fit at this size is blocked (`volume`)."""
    max_lot: Annotated[float, Role.LIMIT] = Field(10.0, gt=0)
    """Largest lot to send."""
    max_risk_per_trade_pct: Annotated[float, Role.LIMIT] = Field(4.0, gt=0, le=20)
    """The loss at the stop never exceeds this percent of equity, whatever the multipliers say."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_lot > self.max_lot:
            raise ValueError("min_lot is above max_lot")
        return self


class ActiveManagement(Section):
    """Half-Kelly scaling of the risk by the confidence of the signal."""

    enabled: bool = False
    """Multiply the risk by half the Kelly fraction of the signal's confidence and pay-off."""


class AtrMultRange(Section):
    """Least and most distance of stop and target in ATR."""

    least: float = Field(gt=0, le=10)
    most: float = Field(gt=0, le=10)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.least > self.most:
            raise ValueError("least is above most")
        return self


class RiskManagement(Section):
    """Bracket distances and the market-quality gates."""

    sl_atr_mult: Annotated[
        float, Swept(("sl_atr_mult",), "SL", within(lambda reach: reach.stops, 5), unless=_MODEL_NAMES_DISTANCES)
    ] = Field(1.0, gt=0, le=10)
    """Stop distance in ATR when the SLTP model is off."""
    tp_atr_mult: Annotated[
        float, Swept(("tp_atr_mult",), "TP", within(lambda reach: reach.targets, 5), unless=_MODEL_NAMES_DISTANCES)
    ] = Field(1.0, gt=0, le=10)
    """Target distance in ATR when the SLTP model is off."""
    atr_mult_range: AtrMultRange | None = None
    """Range the SLTP model's distances are clamped to; null takes the profile's, see `risk_profile.scale`."""
    min_atr_threshold: Annotated[float, Swept(("min_atr_threshold",), "min ATR", or_times(8.0))] = Field(15.0, ge=0)
    """Gate `atr_floor`: no entries while ATR is below this many USD."""
    max_spread_atr: Annotated[float, Swept(("max_spread_atr",), "spread/ATR", at_most(0.15))] = Field(0.35, gt=0, le=5)
    """Gate `spread`: no entries while the spread exceeds this share of ATR."""


class SessionConfidence(Section):
    """Confidence thresholds by session; where sessions overlap the highest applies."""

    london: float | None = Field(None, ge=0, le=1)
    new_york: float | None = Field(None, ge=0, le=1)
    asian: float | None = Field(None, ge=0, le=1)


class News(Section):
    """Which scheduled releases count as news, and where the running bot reads the schedule."""

    currencies: Annotated[tuple[str, ...], Role.LEARNED] = Field(("USD",), min_length=1)
    """Whose releases count."""
    impacts: Annotated[tuple[Literal["high", "medium", "low"], ...], Role.LEARNED] = Field(("high",), min_length=1)
    """How weighty a release must be to count. The models were trained on high ones."""
    base_url: Annotated[str, Role.OWNER] = Field("https://nfs.faireconomy.media", pattern="^https?://")
    """Host of the Forex Factory weekly export."""
    refresh_minutes: Annotated[float, Role.OWNER] = Field(60.0, ge=5, le=24 * 60)
    """From an answer to the next request; the host refuses those who ask more than about twice in five minutes."""
    stale_after_hours: Annotated[float, Role.OWNER] = Field(24.0, gt=0, le=7 * 24)
    """A schedule not confirmed by its host for so long counts as stale; it is still used, and the bot says so."""
    missing: Annotated[Literal["trade", "block"], Role.OWNER] = "trade"
    """What a calendar means that is missing, or whose week is over: "trade" goes on as if nothing were
    scheduled, and the bot says so; "block" opens no position until the schedule is known. A backtest
    without --calendar is judged the same way."""

    @field_validator("base_url")
    @classmethod
    def _can_be_asked(cls, value: str) -> str:
        return check_web_address(value)


class AdxFilter(Section):
    """Gate `adx_regime`: trade only when the trend is strong enough."""

    enabled: bool = False
    min_adx: float = Field(20.0, ge=0, le=100)


class EquityCurveFilter(Section):
    """Gate `equity_curve`: stand aside after the balance has fallen below its own recent mean."""

    enabled: bool = False
    lookback_trades: int = Field(10, ge=2, le=32)
    """How many closed trades the mean is taken over."""
    max_drawdown_pct: float = Field(3.0, gt=0, le=100)
    """Percent below that mean which starts the pause."""
    pause_hours: float = Field(24.0, gt=0, le=24 * 30)
    """Length of the pause. It has to end by the clock: without trades the curve never moves."""


class RiskProfile(Section):
    """Which row of the profile table this configuration follows."""

    name: Annotated[ProfileName, Role.OWNER] = "balanced"
    scale: Annotated[Literal["selectivity", "absolute"], Role.OWNER] = "selectivity"
    """How the profile's table is read: `selectivity` lets stops and targets lie within a third of the labels'
    multiples and judges no confidence by the table, which belongs to models of another kind; `absolute` takes the
    table's own numbers, right for labels of about 1 ATR."""
    starting_balance_usd: Annotated[float, Role.WORLD] = Field(500.0, gt=0)
    """The hard halt measures from here; changing it is the only way to lift a halt."""


class RiskModelSwitch(Section):
    """The risk model scales the size of a trade; off means a multiplier of 1.0."""

    enabled: bool = False


class Account(Section):
    """The simulated account; a live account's own values replace these."""

    leverage: float = Field(500.0, ge=1, le=5000)
    currency_digits: int = Field(2, ge=0, le=6)
    """Decimals to which the broker books the account's own currency: 2 are cents, or hundredths of a cent
    on a cent account."""
    margin_call_level: float = Field(100.0, ge=0)
    """Percent of used margin at which the broker warns."""
    stop_out_level: float = Field(50.0, ge=0)
    """Percent of used margin at which the broker closes positions."""


class Broker(Section):
    """The symbol's contract and the server's clock."""

    point: float = Field(0.01, gt=0)
    """Smallest price step in USD, always 10 to the power of -`digits`; `spread` columns of bars count points."""
    digits: int = Field(2, ge=0, le=8)
    """Decimals of the prices."""
    contract_size: float = Field(1.0, gt=0)
    """Units of the underlying in one lot."""
    volume_min: float = Field(0.01, gt=0)
    volume_max: float = Field(100.0, gt=0)
    volume_step: float = Field(0.01, gt=0)
    margin_rate: float = Field(1.0, gt=0, le=5000)
    """What the broker takes for a lot, as a multiple of contract x price / `account.leverage`: 20 where a
    symbol has a leverage of its own, 1:25 on an account of 1:500."""
    stops_level: float = Field(0.0, ge=0)
    """Least distance, in points, between the quote and a stop or target."""
    server_clock: str = "NewYork+7"
    """Time zone rule of the server: `UTC`, `NewYork+7` or an IANA zone name."""
    trading_hours: dict[Weekday, str] = Field(default_factory=dict)
    """Sessions in server time, e.g. {"saturday": "closed", "friday": "00:00-12:00, 13:00-22:00"}; absent days are open.
    A session over midnight, "22:00-06:00", belongs to the day it begins on."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.volume_min > self.volume_max:
            raise ValueError("volume_min is above volume_max")
        # MetaTrader has no other points, and a spread counted in wrong ones is wrong by tens.
        if abs(self.point * 10.0**self.digits - 1.0) > 1e-9:
            raise ValueError(
                f"point is {self.point:g}, but with digits {self.digits} it is {10.0**-self.digits:.{self.digits}f}; "
                "write both as the terminal's symbol specification shows them"
            )
        return self

    @field_validator("server_clock")
    @classmethod
    def _known_clock(cls, rule: str) -> str:
        from novosky.market.server_time import ServerClock

        try:
            ServerClock(rule)
        except SettingsError as error:
            raise ValueError(str(error)) from error
        return rule

    @field_validator("trading_hours")
    @classmethod
    def _readable_hours(cls, hours: dict[Weekday, str]) -> dict[Weekday, str]:
        from novosky.market.trading_hours import check_week

        check_week(hours)
        return hours


class Settings(Section):
    """Everything in `config.json`."""

    schema_reference: Annotated[str | None, Role.OWNER] = Field(None, alias="$schema")
    """Where editors find the JSON Schema of this file."""
    symbol: Annotated[str, Role.WORLD] = Field(USUAL_SYMBOL, min_length=1, max_length=64, pattern=_PRINTED)
    timeframe: Annotated[str, Role.WORLD] = Field(USUAL.name, json_schema_extra={"enum": list(TRADED)})
    account_type: Annotated[AccountType, Role.WORLD] = "standard"
    """On a cent account one lot is a hundredth of a standard lot; all sums here stay in USD."""
    dynamic_position_sizing: DynamicPositionSizing = DynamicPositionSizing()
    ml_active_management: Annotated[ActiveManagement, Role.STRATEGY] = ActiveManagement()
    risk_management: Annotated[RiskManagement, Role.STRATEGY] = RiskManagement()
    session_confidence: Annotated[
        SessionConfidence,
        Role.STRATEGY,
        Swept(
            ("confidence_london", "confidence_new_york", "confidence_asian"), "sessions", sessions, told=sessions_told
        ),
    ] = SessionConfidence()
    news_block_minutes: Annotated[float, Role.STRATEGY] = Field(30.0, ge=0, le=24 * 60)
    """Gate `news_block`: no entries this many minutes before and after high-impact news."""
    news: News = News()
    enable_ema_trend_filter: Annotated[bool, Role.STRATEGY, Swept(("ema_trend_filter",), "EMA200", switched_on)] = False
    """Gate `ema_trend`: BUY only above EMA200, SELL only below."""
    adx_filter: Annotated[
        AdxFilter, Role.STRATEGY, Swept(("adx_filter", "min_adx"), "ADX", filtered(20.0), told=filter_told)
    ] = AdxFilter()
    max_consecutive_losses: Annotated[int, Role.LIMIT] = Field(5, ge=1)
    """Gate `circuit_breaker`: this many losses in a row stop entries until 00:00 UTC."""
    max_daily_loss: Annotated[float, Role.LIMIT] = Percent
    """Gate `daily_loss`: percent of the day's opening equity, floating losses included."""
    equity_curve_filter: Annotated[EquityCurveFilter, Role.STRATEGY] = EquityCurveFilter()
    max_weekly_drawdown_pct: Annotated[float, Role.LIMIT] = Percent
    """Gate `weekly_drawdown`: percent below the week's highest equity; pauses until Monday 00:00 UTC."""
    max_total_drawdown_pct: Annotated[float, Role.LIMIT] = Percent
    """Gate `hard_halt`: percent below `risk_profile.starting_balance_usd`; permanent."""
    risk_profile: RiskProfile = RiskProfile()
    risk_model: Annotated[RiskModelSwitch, Role.STRATEGY] = RiskModelSwitch()
    costs: Annotated[Costs, Role.WORLD]
    account: Annotated[Account, Role.WORLD] = Account()
    broker: Annotated[Broker, Role.WORLD] = Broker()

    @field_validator("timeframe")
    @classmethod
    def _traded(cls, name: str) -> str:
        timeframe(name)
        # Averages are anchored at the first bar of a day, which must hold several.
        if name not in TRADED:
            raise ValueError(f"{name} bars are not traded; choose {', '.join(TRADED)}")
        return name

    @property
    def frame(self) -> Timeframe:
        """The length of the bars that decide."""
        return timeframe(self.timeframe)

    @property
    def instrument(self) -> Instrument:
        """What is traded, as far as the settings know it.

        Prices and sums of the settings are in USD, so profit and margin are too.
        """
        broker = self.broker
        base, quote = currencies_of(self.symbol)
        return Instrument(
            symbol=self.symbol,
            timeframe=self.frame,
            point=broker.point,
            digits=broker.digits,
            contract_size=broker.contract_size,
            base_currency=base,
            quote_currency=quote,
            profit_currency=HOUSE_CURRENCY,
            margin_currency=HOUSE_CURRENCY,
            calendar=TradingCalendar(broker.server_clock, broker.trading_hours),
        )

    @property
    def money_digits(self) -> int:
        """Decimals of a booked sum in USD: those of the account's currency, two more where it is a cent."""
        return self.account.currency_digits + (2 if self.account_type == "cent" else 0)

    @property
    def lot_units(self) -> float:
        """Units of the underlying in one lot of this account (a cent lot is a hundredth)."""
        return self.broker.contract_size * (0.01 if self.account_type == "cent" else 1.0)
