from .calls import passes_empty_mapping as passes_empty_mapping
from .terminal import SimulatedTerminal as SimulatedTerminal
