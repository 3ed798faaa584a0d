"""Version 4: what became of an order in words, beside the broker's own code for it.

Until version 3 `intents.retcode` held MetaTrader 5's return code and nothing else, or -1 and -2 of
the program's own. The words below are frozen: they are what version 4 meant by these numbers.
"""

from __future__ import annotations

from sqlalchemy import Connection, text

_WORDS = {
    10004: "price moved",
    10006: "rejected",
    10007: "cancelled",
    10009: "filled",
    10010: "partly filled",
    10013: "invalid",
    10014: "volume",
    10015: "price",
    10016: "stops too close",
    10017: "trading off",
    10018: "market closed",
    10019: "not enough money",
    10020: "price moved",
    10021: "not sent",
    10022: "invalid",
    10024: "too many requests",
    10025: "unchanged",
    10026: "programs off at the server",
    10027: "programs off here",
    10029: "frozen",
    10030: "invalid",
    10032: "real accounts only",
    10033: "too many orders",
    10034: "too much volume",
    10035: "invalid",
    10036: "position gone",
    10038: "volume",
    10039: "exit under way",
    10040: "too many positions",
    10042: "long only",
    10043: "short only",
    10044: "close only",
    10045: "not the oldest",
    10046: "no hedging",
    -1: "unknown",
    -2: "not placed",
}
_UNFORESEEN = "unforeseen"


def name_outcomes(connection: Connection) -> None:
    """Put `outcome` and `broker_code` in the place of `retcode`."""
    connection.execute(text("ALTER TABLE intents ADD COLUMN outcome VARCHAR"))
    connection.execute(text("ALTER TABLE intents ADD COLUMN broker_code VARCHAR"))
    stored = connection.execute(text("SELECT DISTINCT retcode FROM intents WHERE retcode IS NOT NULL")).scalars().all()
    for number in stored:
        # The program's own numbers were never the broker's to explain.
        code = str(number) if number > 0 else None
        connection.execute(
            text("UPDATE intents SET outcome = :word, broker_code = :code WHERE retcode = :number"),
            {"word": _WORDS.get(number, _UNFORESEEN), "code": code, "number": number},
        )
    connection.execute(text("ALTER TABLE intents DROP COLUMN retcode"))
