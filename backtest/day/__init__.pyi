from .note import drift_note as drift_note
from .replay import ReplaySetup as ReplaySetup
from .replay import replay_day as replay_day
from .report import print_report as print_report
from .report import report_json as report_json
