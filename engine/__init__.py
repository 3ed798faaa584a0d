"""Every rule that decides or fills a trade, compiled, and shared by backtest, paper and live.

The order of one bar is written down once, in `bar.py`. No module here reads a file, a
clock, the network or a settings object; what survives a crash is exactly the records of
`records.py`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
