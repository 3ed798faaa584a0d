"""A MetaTrader 5 terminal that is not there: the package's functions over a simulated broker."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
