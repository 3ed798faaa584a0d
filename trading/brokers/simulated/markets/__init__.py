"""The markets that the simulated server knows: their terms, quotes, ticks and clock."""
