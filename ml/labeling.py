"""Labels of the signal model, under the name its documents give them; they are made in `ml.labels.barrier`."""

from ml.labels.barrier import BUY, HOLD, SELL, Labels, triple_barrier, unbroken_until

__all__ = ["BUY", "HOLD", "SELL", "Labels", "triple_barrier", "unbroken_until"]
