"""Three members that vote: training, calibration, export and prediction.

Published pickles name the classes of members and scaler by the path `ml.ensemble`, so they are handed on under it:
a set trained before this folder existed loads as it was published.
"""

from ml.ensemble.members import CalibratedMember, Calibrator, Scaling

__all__ = ["CalibratedMember", "Calibrator", "Scaling"]
