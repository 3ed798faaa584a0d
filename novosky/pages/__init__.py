"""The shell of every self-contained HTML page."""
