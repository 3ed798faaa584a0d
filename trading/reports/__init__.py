"""What a person reads about a bot: health, standing, trades, performance."""
