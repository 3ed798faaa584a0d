"""The rooms of the feature house: one module per kind of measurement, kernels below them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
