from .importers import import_text as import_text
from .importers import read_text_bars as read_text_bars
