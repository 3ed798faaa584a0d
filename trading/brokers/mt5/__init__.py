"""The broker port over MetaTrader 5: the official package, the bridge client or the simulated terminal."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
