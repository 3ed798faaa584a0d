"""Speed, memory and growth, measured the way they are promised: `python -m bench --help`."""
