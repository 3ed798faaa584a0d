"""The bot's journal: what it decided, intended, traded and is, in a database.

Everything that belongs to one bar is written in one transaction, so that a bar has either
been processed or not. An intent is written before its order is sent. SQLite in WAL mode is
the default, PostgreSQL the other choice; both pass `tests/contracts/journal.py`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
