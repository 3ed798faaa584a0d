"""Closes that a live bot sees otherwise than history does: an old quote, a lost stop, a person's freeze."""

from __future__ import annotations

from tests.engine.cases.case import LONG, QUIET, SHORT, TO_SHORT_TARGET, TO_TARGET, BarCase, Booked, Row, Seen, Signal

UP: Row = (50_030.0, 50_040.0, 50_020.0, 50_030.0)
DOWN: Row = (50_000.0, 50_005.0, 49_880.0, 49_900.0)
LOW: Row = (49_900.0, 49_910.0, 49_890.0, 49_900.0)
FAR_LONG = Signal(side=1, sl_mult=5.0, tp_mult=5.0)

STALE_QUOTES = (
    BarCase(
        id="quote-as-late-as-allowed",
        why="a minute after the close the decision still meets the price it was made for",
        signals=(LONG,),
        seen=(Seen(0, late=60),),
        bars=(QUIET, TO_TARGET),
        trades=(Booked(1, 1, 1, 50_010.0, 50_110.0, "tp", 100.0),),
    ),
    BarCase(
        id="stale-quote-makes-no-entry",
        why="the market was closed or silent after the close: the price decided on is gone",
        signals=(LONG,),
        seen=(Seen(0, late=61),),
        bars=(QUIET, TO_TARGET),
        blocks=((0, ("market_closed",)),),
    ),
    BarCase(
        id="stale-quote-of-a-short",
        why="either side needs a price of its close",
        signals=(SHORT,),
        seen=(Seen(0, late=4_000),),
        bars=(QUIET, TO_SHORT_TARGET),
        blocks=((0, ("market_closed",)),),
    ),
    BarCase(
        id="the-close-after-a-stale-quote-trades",
        why="the next decision has a quote of its own",
        signals=(LONG, Signal(bar=1)),
        seen=(Seen(0, late=61),),
        bars=(QUIET, QUIET, TO_TARGET),
        trades=(Booked(2, 2, 1, 50_010.0, 50_110.0, "tp", 100.0),),
        blocks=((0, ("market_closed",)),),
    ),
    BarCase(
        id="stale-quote-does-not-keep-a-position",
        why="only entries need a fresh price: who wants out gets out",
        signals=(LONG,),
        exits=(1,),
        seen=(Seen(1, late=61),),
        bars=(QUIET, QUIET, UP),
        trades=(Booked(1, 2, 1, 50_010.0, 50_030.0, "model", 20.0),),
    ),
    BarCase(
        id="stale-quote-does-not-keep-the-halt-away",
        why="floating equity of 9,890 is under 9,900 at whatever age of the quote",
        signals=(FAR_LONG,),
        settings=(("max_total_drawdown", 0.01),),
        seen=(Seen(1, late=600),),
        bars=(QUIET, DOWN, LOW),
        trades=(Booked(1, 2, 1, 50_010.0, 49_900.0, "halt", -110.0),),
    ),
)

FREEZES = (
    BarCase(
        id="frozen-makes-no-entry",
        why="a person said so",
        signals=(LONG,),
        seen=(Seen(0, frozen=True),),
        bars=(QUIET, TO_TARGET),
        blocks=((0, ("frozen",)),),
    ),
    BarCase(
        id="frozen-and-stale-names-both",
        why="a candidate is told every gate it fails, not the first",
        signals=(SHORT,),
        seen=(Seen(0, late=61, frozen=True),),
        bars=(QUIET, TO_SHORT_TARGET),
        blocks=((0, ("market_closed", "frozen")),),
    ),
    BarCase(
        id="thawed-trades-again",
        why="the freeze ends with the flag; the candidates it kept back do not come again",
        signals=(LONG, Signal(bar=1, side=-1), Signal(bar=2)),
        seen=(Seen(0, frozen=True), Seen(1, frozen=True)),
        bars=(QUIET, QUIET, QUIET, TO_TARGET),
        trades=(Booked(3, 3, 1, 50_010.0, 50_110.0, "tp", 100.0),),
        blocks=((0, ("frozen",)), (1, ("frozen",))),
    ),
    BarCase(
        id="frozen-leaves-the-position-to-its-exits",
        why="a freeze keeps entries back; what is open is led to its end",
        signals=(LONG, Signal(bar=1)),
        exits=(1,),
        seen=(Seen(1, frozen=True), Seen(2, frozen=True)),
        bars=(QUIET, QUIET, UP, QUIET),
        trades=(Booked(1, 2, 1, 50_010.0, 50_030.0, "model", 20.0),),
    ),
    BarCase(
        id="frozen-leaves-the-position-to-its-target",
        why="the target lies at the broker",
        signals=(LONG,),
        seen=(Seen(1, frozen=True), Seen(2, frozen=True)),
        bars=(QUIET, QUIET, TO_TARGET),
        trades=(Booked(1, 2, 1, 50_010.0, 50_110.0, "tp", 100.0),),
    ),
)

LOST_STOPS = (
    BarCase(
        id="lost-stop-goes-at-the-next-open",
        why="without its stop the risk is not the one it was sized by",
        signals=(LONG,),
        seen=(Seen(1, exposed=True),),
        bars=(QUIET, QUIET, UP),
        trades=(Booked(1, 2, 1, 50_010.0, 50_030.0, "manual", 20.0),),
    ),
    BarCase(
        id="lost-stop-of-a-short-pays-the-ask",
        why="bought back at the first ask, slipped upwards",
        signals=(SHORT,),
        settings=(("slippage", 2.5),),
        seen=(Seen(1, exposed=True),),
        bars=(QUIET, QUIET, (49_970.0, 49_980.0, 49_960.0, 49_970.0)),
        trades=(Booked(1, 2, -1, 49_997.5, 49_982.5, "manual", 15.0),),
    ),
    BarCase(
        id="lost-stop-does-not-ask-the-model",
        why="the model would hold; a bare position is not its question",
        signals=(LONG,),
        exits=(99,),
        seen=(Seen(1, exposed=True),),
        bars=(QUIET, QUIET, UP),
        trades=(Booked(1, 2, 1, 50_010.0, 50_030.0, "manual", 20.0),),
    ),
    BarCase(
        id="lost-stop-under-the-halt-is-the-halts",
        why="the halt is the graver reason and outlives the position",
        signals=(FAR_LONG, Signal(bar=2)),
        settings=(("max_total_drawdown", 0.01),),
        seen=(Seen(1, exposed=True),),
        bars=(QUIET, DOWN, LOW, QUIET),
        trades=(Booked(1, 2, 1, 50_010.0, 49_900.0, "halt", -110.0),),
        blocks=((1, ("hard_halt",)),),
    ),
    BarCase(
        id="lost-stop-on-a-stale-quote",
        why="leaving needs no fresh price",
        signals=(LONG,),
        seen=(Seen(1, late=61, frozen=True, exposed=True),),
        bars=(QUIET, QUIET, UP),
        trades=(Booked(1, 2, 1, 50_010.0, 50_030.0, "manual", 20.0),),
    ),
    BarCase(
        id="signal-after-a-lost-stop-trades",
        why="the close that decides the exit still has a position; the next one is flat",
        signals=(LONG, Signal(bar=1), Signal(bar=2)),
        seen=(Seen(1, exposed=True),),
        bars=(QUIET, QUIET, QUIET, TO_TARGET),
        trades=(
            Booked(1, 2, 1, 50_010.0, 50_000.0, "manual", -10.0),
            Booked(3, 3, 1, 50_010.0, 50_110.0, "tp", 100.0),
        ),
    ),
)

LIVE_CLOSES = (*STALE_QUOTES, *FREEZES, *LOST_STOPS)
