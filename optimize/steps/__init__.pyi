from .judge import BASELINE as BASELINE
from .judge import Side as Side
from .judge import figures as figures
from .prepare import SHAP as SHAP
from .promote import put_back as put_back
from .report import send_report as send_report
from .ship import report_text as report_text
from .ship import shipped as shipped
