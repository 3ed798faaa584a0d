"""The steps of the weekly run, in their order."""
