from .migrations import bring_up_to_date as bring_up_to_date
