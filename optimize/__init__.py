"""The weekly loop: retrain, prove out of sample, ship or leave everything as it was.

A run works in a folder of its own; the files a bot trades with change once, as one set, after
the decision. Every step says what it reads and what it writes, so that a run killed anywhere
is taken up by the next start.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
