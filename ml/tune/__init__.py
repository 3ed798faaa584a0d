"""Search for hyperparameters and thresholds on purged walk-forward folds of the training window."""
