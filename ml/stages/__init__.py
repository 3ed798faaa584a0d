"""One training run: its stages, their order, their window and the manifest they leave."""
