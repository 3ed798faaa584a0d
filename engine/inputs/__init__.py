"""What the engine is fed: parameters, columns, brackets and candidates built from settings, bars and models."""
