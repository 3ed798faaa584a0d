"""What the programs tell people: messages, their delivery, and the channels that carry them.

A message is queued once for every configured channel. Each channel has its own place in the
queue and its own attempts, so that one that fails never holds back another. A channel is a file
in `alerts.channels`; nothing else lists them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
