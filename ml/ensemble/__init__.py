"""Three members that vote: training, calibration, export and prediction."""
