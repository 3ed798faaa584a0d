from .history import BarHistory as BarHistory
from .history import History as History
from .history import history_link as history_link
from .reader import BarReader as BarReader
from .reader import folded_rows as folded_rows
from .timeframes import terminal_code as terminal_code
