"""Programs that a measure runs in a fresh process."""
