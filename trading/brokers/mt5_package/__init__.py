"""Types and constants of the MetaTrader5 package, for machines that cannot install it."""
