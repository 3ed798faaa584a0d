"""The parts of one cycle of the bot: what it reads, decides, sends, books and says."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
