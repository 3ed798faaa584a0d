"""Where a weekly run stands, so that it can be resumed: its steps, workspace and repository."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
