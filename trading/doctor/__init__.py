"""Checks of a machine that is to trade: each a small function that says what it found and how to mend it."""
