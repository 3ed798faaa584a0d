"""A live day replayed and held against what the bot did."""
