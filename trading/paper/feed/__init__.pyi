from .binance import BinanceFeed as BinanceFeed
from .market import GrowingMarket as GrowingMarket
from .market import check_same_market as check_same_market
from .port import BarFeed as BarFeed
from .terminal import TerminalFeed as TerminalFeed
