"""Fitted trees as plain arrays: the library's own bytes, without the library's cost of a call."""
