"""Bars into features, features into models, models into decisions. Knows nothing of brokers."""
