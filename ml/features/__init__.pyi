from .catalogue import FEATURES as FEATURES
from .catalogue import PROTECTED_FEATURES as PROTECTED_FEATURES
from .feature_spec import FeatureSpec as FeatureSpec
from .feature_spec import Measure as Measure
from .indicators import Indicators as Indicators
from .leakage import Leak as Leak
from .leakage import find_leaks as find_leaks
from .leakage import random_rows as random_rows
