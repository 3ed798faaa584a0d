from .connection import Database as Database
from .place import is_here as is_here
from .place import journal_url as journal_url
from .place import shown as shown
from .place import sqlite_url as sqlite_url
from .prepared import Prepared as Prepared
from .use import Use as Use
