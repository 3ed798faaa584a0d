"""Ground floor of NOVOSKY: settings, market values, time, errors, files, logging.

Nothing in this package imports from the rooms above it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

__version__ = "0.1.0"
