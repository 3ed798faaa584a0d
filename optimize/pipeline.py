"""The two programs as lists of steps: the weekly run, and one iteration of the loop."""

from __future__ import annotations

from optimize.state.resumable import Step
from optimize.state.run import WINDOW, OptimizeRun
from optimize.steps import judge as judging
from optimize.steps import prepare as preparation
from optimize.steps import promote as deciding
from optimize.steps import ship as shipping
from optimize.steps import sweep as choosing
from optimize.steps import train as learning

JUDGED, DECIDED, PROVED = "judge", "decide", "smoke"
"""Steps between which a challenger may be in place that nothing has proved to start."""

_PREFLIGHT = Step[OptimizeRun]("preflight", "pre-flight", preparation.preflight, outputs=("incumbent",))
_DATA = Step[OptimizeRun]("data", "bars", preparation.fix_window, outputs=(WINDOW,))
_SHAP = Step[OptimizeRun](
    "shap",
    "SHAP",
    preparation.explain_incumbent,
    inputs=("incumbent", "start", WINDOW),
    outputs=(preparation.SHAP, "shaped"),
)
_SEARCH = Step[OptimizeRun](
    "optuna", "Optuna", learning.search, inputs=("shaped", WINDOW), outputs=("tuned", learning.TUNING)
)
_RETRAIN = Step[OptimizeRun](
    "retrain",
    "retraining",
    learning.retrain,
    inputs=("tuned", "incumbent", WINDOW),
    outputs=("trained", "models", learning.LEARNED),
)
_SWEEP = Step[OptimizeRun](
    "sweep", "sweep", choosing.sweep, inputs=("trained", "models", WINDOW), outputs=(choosing.SWEEP,)
)
_APPLY = Step[OptimizeRun](
    "apply", "settings", choosing.apply_best, inputs=("trained", choosing.SWEEP), outputs=("challenger",)
)
_JUDGE = Step[OptimizeRun](
    JUDGED,
    "out-of-sample backtest",
    judging.judge,
    inputs=("challenger", "models", "incumbent", WINDOW),
    outputs=(judging.JUDGEMENT,),
)
_DECIDE = Step[OptimizeRun](
    DECIDED,
    "decision",
    deciding.decide_and_place,
    inputs=(judging.JUDGEMENT, learning.TUNING, choosing.SWEEP),
    outputs=(deciding.DECISION,),
)
_SMOKE = Step[OptimizeRun](PROVED, "smoke test", shipping.smoke, inputs=(deciding.DECISION,), outputs=(shipping.SMOKE,))
_RECORD = Step[OptimizeRun](
    "record",
    "records",
    shipping.record,
    inputs=(deciding.DECISION, shipping.SMOKE, shipping.PUSHED),
    outputs=(shipping.RECORDED,),
)
_PUSH = Step[OptimizeRun](
    "push", "hub", shipping.push, inputs=(deciding.DECISION, shipping.SMOKE), outputs=(shipping.PUSHED,)
)

WEEKLY: tuple[Step[OptimizeRun], ...] = (
    _PREFLIGHT,
    Step("profile", "profile", preparation.choose_profile, inputs=("incumbent",), outputs=("start",)),
    _DATA,
    _SHAP,
    _SEARCH,
    _RETRAIN,
    _SWEEP,
    _APPLY,
    _JUDGE,
    _DECIDE,
    # Before anything leaves the machine: what does not start is taken back, and nobody has seen it.
    _SMOKE,
    _PUSH,
    _RECORD,
    Step("commit", "git", shipping.commit, inputs=(shipping.RECORDED,), outputs=(shipping.COMMITTED,)),
    Step("report", "Report", shipping.tell, inputs=(shipping.RECORDED,), outputs=(shipping.TOLD,)),
)

_KEEP = Step[OptimizeRun](
    "settings", "settings as they are", preparation.keep_settings, inputs=("incumbent",), outputs=("start",)
)
_BASELINE = Step[OptimizeRun](
    "baseline", "baseline backtest", judging.baseline, inputs=("incumbent", WINDOW), outputs=(judging.BASELINE,)
)
ITERATION: tuple[Step[OptimizeRun], ...] = (
    _PREFLIGHT,
    _KEEP,
    _DATA,
    _SHAP,
    _BASELINE,
    _SEARCH,
    _RETRAIN,
    _SWEEP,
    _APPLY,
    _JUDGE,
    _DECIDE,
    _SMOKE,
    _PUSH,
    _RECORD,
)
ANALYSIS: tuple[Step[OptimizeRun], ...] = (_PREFLIGHT, _KEEP, _DATA, _SHAP, _BASELINE)
"""`--analyze-only`: nothing is learned, nothing is changed."""
