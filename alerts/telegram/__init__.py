"""Telegram: what the bot tells, and the commands it takes from people it knows."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
