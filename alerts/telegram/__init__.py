"""Telegram: what the bot tells, and the commands it takes from people it knows."""
