"""The functions of the MetaTrader5 package, answered by the simulated server."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
