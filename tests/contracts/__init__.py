"""What every implementation of a port must do, as classes of tests that its own test inherits."""
