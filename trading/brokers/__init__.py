"""Brokers behind one port.

| file of a broker's package | what it holds |
|---|---|
| `entry` | its `KIND`: name, environment, how its account is reached; see `trading.brokers.family` |
| `broker` | the implementation of `trading.brokers.port.Broker` |
| `link` | the connection, lost and found again |
| `orders`, `lookup` | sending once, and finding out what became of an order |
| `retcodes` | its own codes, turned into the port's words |
| `probe` | what the doctor asks |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
