"""What the pages of the tests say of themselves."""

from __future__ import annotations

import re

from novosky.provenance import Provenance

MADE = Provenance("GER40", "M15", "balanced", "1.2.3", "python a.py --data 'b & c.csv'", 1_704_196_800)
MADE_TEXT = (
    "GER40 M15, profile balanced",
    "NOVOSKY 1.2.3, made 2024-01-02 12:00 UTC by",
    "python a.py --data &#x27;b &amp; c.csv&#x27;",
)


def without_moment(page: bytes) -> bytes:
    """Return a page without the lines that differ from run to run: its command and when it was made."""
    shorter, found = re.subn(rb'<p class="made">.*?</p>', b"", page)
    assert found == 1
    return shorter
