from .files import write_members as write_members
from .trainer import SignalDataset as SignalDataset
from .trainer import average_uniqueness as average_uniqueness
from .trainer import build_dataset as build_dataset
