"""The files of a model set: names, hashes, compatibility, and swapping one set for another."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
