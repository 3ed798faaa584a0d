"""The functions of the MetaTrader5 package, answered by the simulated server."""
