"""The broker port over MetaTrader 5: the official package, the bridge client or the simulated terminal."""
