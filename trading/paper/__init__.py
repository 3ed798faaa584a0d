"""A paper bot: the same bot at a simulated server, fed by history or by real prices."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
