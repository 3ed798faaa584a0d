"""Bars from text files: layouts, time stamps, numbers and tables."""
