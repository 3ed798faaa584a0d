"""Fitted trees as plain arrays: the library's own bytes, without the library's cost of a call."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
