"""The stop and target model."""
