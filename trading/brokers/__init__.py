"""Brokers behind one port: the MetaTrader 5 package, a bridge to it, and a simulated server."""
