"""What is learnt: labels of bars and trades, and splits that cannot leak."""
