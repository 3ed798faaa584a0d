"""Real prices for a paper account: where bars come from, and the market they make grow."""
