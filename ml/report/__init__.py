"""How good the models are: calibration, drift, importance, and the pages that show it."""
