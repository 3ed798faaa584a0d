"""A MetaTrader 5 terminal that is not there: the package's functions over a simulated broker."""
