"""The execution rules, against hand-made bars, random markets and an independent loop."""
