"""What the bot asks of its journal at every bar and every trade, prepared for one database."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import BindParameter, bindparam, insert, select, update

from novosky.database.connection import Database
from novosky.database.prepared import Prepared
from trading.journal.tables import BOT_STATUS, DEALS, DECISIONS, INTENTS, TRADES, columns_of
from trading.journal.values import INTENT_REJECTED, Decision, Intent

Prepare = Callable[..., Prepared]
"""`Database.prepare`."""
SYMBOL: BindParameter[str] = bindparam("of_symbol")
"""Whose rows a statement is about."""


class Statements:
    """The prepared statements of `trading.journal.journal.Journal`.

    Parameters
    ----------
    database : Database
    """

    def __init__(self, database: Database) -> None:
        prepare = database.prepare
        status = [column.name for column in BOT_STATUS.columns if not column.primary_key]
        self.insert_status = prepare(insert(BOT_STATUS))
        self.update_status = prepare(update(BOT_STATUS).where(BOT_STATUS.c.symbol == SYMBOL), status)
        self.newest_bar = prepare(select(BOT_STATUS.c.last_bar).where(BOT_STATUS.c.symbol == SYMBOL))
        self.insert_decision = prepare(insert(DECISIONS), ["symbol", *Decision.__dataclass_fields__])
        self.insert_deal = prepare(insert(DEALS))
        self.insert_trade = prepare(insert(TRADES))
        self.insert_intent = prepare(insert(INTENTS), ["symbol", *Intent.__dataclass_fields__, "state"])
        self._of_intents(prepare)
        self._of_deals(prepare)

    def _of_intents(self, prepare: Prepare) -> None:
        mine = select(*columns_of(INTENTS)).where(INTENTS.c.symbol == SYMBOL)
        this = (INTENTS.c.symbol == SYMBOL) & (INTENTS.c.id == bindparam("intent"))
        self.intent = prepare(mine.where(INTENTS.c.id == bindparam("intent")))
        self.close_intent = prepare(update(INTENTS).where(this), ["state", "outcome", "broker_code", "order"])
        at_bar = (DECISIONS.c.symbol == SYMBOL) & (DECISIONS.c.bar == bindparam("at"))
        self.block_decision = prepare(update(DECISIONS).where(at_bar), ["action", "gates"])
        # An order that was taken for refused had marked the decision so.
        late = at_bar & (DECISIONS.c.action == "blocked")
        self.unblock_decision = prepare(update(DECISIONS).where(late), ["action", "gates"])
        entries = mine.where(INTENTS.c.kind == "entry")
        self.intent_of_order = prepare(entries.where(INTENTS.c.order == bindparam("ticket")))
        exits = mine.where(INTENTS.c.position == bindparam("ticket"), INTENTS.c.kind == "exit")
        self.exit_of = prepare(exits.order_by(INTENTS.c.bar.desc()).limit(1))
        refused = INTENTS.c.state == INTENT_REJECTED
        newest = INTENTS.c.bar.desc()
        self.refused_intent = prepare(
            mine.where(INTENTS.c.id == bindparam("intent"), refused).order_by(newest).limit(1)
        )
        within = (INTENTS.c.bar <= bindparam("until")) & (INTENTS.c.bar > bindparam("after"))
        of_size = entries.where(within, INTENTS.c.volume == bindparam("lots"), refused)
        self.refused_entry = prepare(of_size.order_by(newest).limit(1))

    def _of_deals(self, prepare: Prepare) -> None:
        own = (DEALS.c.symbol == SYMBOL) & (DEALS.c.position == bindparam("ticket"))
        self.entry_deals = prepare(select(*columns_of(DEALS)).where(own, DEALS.c.entry == 0).order_by(DEALS.c.ticket))
        self.closed_lots = prepare(select(DEALS.c.volume).where(own, DEALS.c.entry == 1))
