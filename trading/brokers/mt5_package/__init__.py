"""Types and constants of the MetaTrader5 package, for machines that cannot install it."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
