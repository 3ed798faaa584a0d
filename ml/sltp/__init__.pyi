from .predictor import SltpPredictor as SltpPredictor
from .predictor import hash_sltp_settings as hash_sltp_settings
