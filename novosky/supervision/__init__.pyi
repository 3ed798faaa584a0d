from .freeze import FREEZE_FLAG as FREEZE_FLAG
from .freeze import freeze as freeze
from .freeze import is_frozen as is_frozen
from .freeze import unfreeze as unfreeze
