"""Bars of a terminal: the newest ones at each close, a long history, and the names of time frames."""
