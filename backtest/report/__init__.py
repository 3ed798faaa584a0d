"""The report of a backtest: page, charts and summary."""
