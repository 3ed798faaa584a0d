from .accounts import AccountTerms as AccountTerms
from .entry import STAMPS as STAMPS
from .entry import simulated_broker as simulated_broker
from .opening import ACCOUNT_TERMS as ACCOUNT_TERMS
from .opening import paper_server as paper_server
from .opening import terms_from_settings as terms_from_settings
from .server import TradeServer as TradeServer
from .store import SqliteStore as SqliteStore
