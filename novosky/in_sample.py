"""Whether bars were known to the models that trade them, and how every output says so."""

from __future__ import annotations

import pandas as pd

MARK = "IN-SAMPLE"
"""Begins every such notice, wherever it stands."""
_RULE = "!" * 78


def in_sample_notice(opens: pd.Series[pd.Timestamp], cutoff: pd.Timestamp | None, mend: str) -> str | None:
    """Return what to say of results on bars the models learned from; None when they know none of them.

    Parameters
    ----------
    opens : Series of UTC Timestamps
        Opens of the bars that are traded, in order, at least one.
    cutoff : Timestamp or None
        The last bar whose information entered the models; None when that is not known.
    mend : str
        How to get results that count.
    """
    if cutoff is None or opens.iloc[0] > cutoff:
        return None
    seen = int((opens <= cutoff).sum())
    return (
        f"{MARK}: {seen} of {len(opens)} bars lie before the training cutoff {cutoff}; "
        f"these results say nothing about the future. {mend}"
    )


def is_in_sample(label: str) -> bool:
    """Tell whether a label is such a notice."""
    return label.casefold().startswith(MARK.casefold())


def banner(notice: str) -> str:
    """Return a notice as plain text that cannot be missed."""
    return f"{_RULE}\n{notice}\n{_RULE}"
