from .classifier import flat_classifier as flat_classifier
from .probes import PROBE_SEED as PROBE_SEED
from .proof import proved as proved
from .readers import UnreadableTreesError as UnreadableTreesError
from .regressor import BoosterRegression as BoosterRegression
from .regressor import Regression as Regression
from .regressor import served_regression as served_regression
