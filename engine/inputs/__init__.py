"""What the engine is fed: parameters, columns, brackets and candidates built from settings, bars and models."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
