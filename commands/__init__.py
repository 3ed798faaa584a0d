"""The commands: click only. Each parses, calls one driver, prints, and sets the exit code."""
