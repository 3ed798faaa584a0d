"""What keeps a running program in check: the freeze flag."""
