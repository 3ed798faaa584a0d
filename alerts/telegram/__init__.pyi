from .access import TelegramAccess as TelegramAccess
from .api import TelegramApi as TelegramApi
from .channel import TelegramChannel as TelegramChannel
from .chats import ChatBook as ChatBook
from .service import TelegramService as TelegramService
