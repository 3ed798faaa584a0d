"""The bot, its ports to the outside world, and the rules it shares with the backtest."""
