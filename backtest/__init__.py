"""The bot's rules over history: the driver, its metrics and its report."""
