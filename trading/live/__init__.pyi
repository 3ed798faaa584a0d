from .account import AccountParts as AccountParts
from .account import open_account as open_account
from .parts import LiveParts as LiveParts
from .practice import PRACTICE_NOTE as PRACTICE_NOTE
from .practice import refuse_practice_models as refuse_practice_models
from .session import live_session as live_session
