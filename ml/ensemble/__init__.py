"""Three members that vote: training, calibration, export and prediction.

Published pickles name the classes of members and scaler by the path `ml.ensemble`, so they are handed on under it:
a set trained before this folder existed loads as it was published.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
