from .predictor import PositionPredictor as PositionPredictor
from .trainer import PositionDataset as PositionDataset
from .trainer import bracket_of as bracket_of
from .trainer import close_features as close_features
from .trainer import describe_closes as describe_closes
from .trainer import follow_entries as follow_entries
from .trainer import train_position as train_position
