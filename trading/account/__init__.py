"""One account, one bot: its lock, its beginning, its history and how a lost journal is adopted."""
