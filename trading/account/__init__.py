"""One account, one bot: its lock, its beginning, its history and how a lost journal is adopted."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
