"""Train and trade fold after fold, out of sample."""
