"""Bars of a terminal: the newest ones at each close, a long history, and the names of time frames."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
