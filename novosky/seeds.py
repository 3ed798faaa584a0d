"""The range of a seed that every library can take."""

from __future__ import annotations

MOST_SEED = 2**32 - 1
"""scikit-learn and numpy's legacy generators take 32 bits."""
