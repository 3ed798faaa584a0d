"""What the command `data` does for each kind of source."""
