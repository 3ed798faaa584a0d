"""The signal model: buy, sell or hold."""
