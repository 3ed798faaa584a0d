from .driver import Surroundings as Surroundings
from .driver import optimize as optimize
from .pipeline import WEEKLY as WEEKLY
