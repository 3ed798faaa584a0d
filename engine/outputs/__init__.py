"""What the engine leaves behind, as tables and words."""
