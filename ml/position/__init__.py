"""The position model: whether an open trade is held or left."""
