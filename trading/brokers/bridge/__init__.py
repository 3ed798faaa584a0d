"""The bridge: a MetaTrader 5 terminal on one machine, the bot on another.

Beside the terminal runs `trading.brokers.bridge.server` around a module with the functions of the
MetaTrader 5 package; on the other side `trading.brokers.bridge.client.BridgeModule` has the same
functions, so whoever uses it cannot tell it from the package. `protocol` is what both speak.

A call is executed at most once. It carries its session, a sequence number that only grows, the
moment it was made and the identity of the server it was meant for; a server that has seen the
number refuses the request (it keeps no answers to give again), a server that was restarted since
refuses it too. A lost answer therefore stays unknown, and the caller reconciles with the broker.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
