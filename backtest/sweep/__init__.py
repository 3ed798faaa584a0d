"""Many configurations over the same bars."""
