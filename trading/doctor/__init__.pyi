from .broker import check_broker_access as check_broker_access
from .calendar import check_calendar as check_calendar
from .costs import check_costs as check_costs
from .finding import Finding as Finding
from .finding import Grade as Grade
from .finding import fail as fail
