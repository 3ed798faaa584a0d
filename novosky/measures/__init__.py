"""Statistics of results: intervals, scores, and what selection from many trials costs."""
