"""A paper bot: the same bot at a simulated server, fed by history or by real prices."""
