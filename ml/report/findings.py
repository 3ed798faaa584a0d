"""The model report in words: rows of tables and plain findings, shared by terminal and page."""

from __future__ import annotations

from collections.abc import Sequence

from ml.report.drift import LARGE_PSI, MODERATE_PSI, Drift
from ml.report.figures import CLASSES, MODELS, SIDES, CalibrationReport, ModelReport, Traded
from ml.report.reliability import Calibration, Share

UNKNOWN = "n/a"
WINDOWS = ("training", "live")
WINDOW_WORDS = {"training": "training, out of fold", "live": "live, out of sample"}
CALIBRATION_COLUMNS = (
    "window", "model", "log loss", "of base rates", "Brier", "skill", "on training rates",
    *(f"error {name}" for name in CLASSES), "bins missed",
)  # fmt: skip
TRADED_COLUMNS = (
    "window", "side", "rows", "effective", "predicted", "came", "95 %", "win rate", "95 %", "mean R",
)  # fmt: skip
DRIFT_COLUMNS = ("feature", "PSI", "band", "by chance", "usual", "largest in training", "bins")
CHANCE_NOTE = (
    "Error: mean distance between predicted and observed share over bins of equal count; in brackets what perfectly "
    "calibrated probabilities would show on so few effective rows. Skill: 1 - Brier / Brier of constant shares; below "
    "0 the constant is better. A bin is missed when its 95 % interval does not contain its prediction: by chance 1 in "
    "20."
)
TRADED_NOTE = (
    "Rows that pass votes, confidence and gap of the signal decision, before any other gate. Came: the label was the "
    "named side. Win rate and R: the labels' bracket after the labels' spread, without commission, slippage and swap."
)
BAND_NOTE = (
    f"Bands (below {MODERATE_PSI:g} stable, below {LARGE_PSI:g} moderate, else large) are conventions, and the PSI "
    "grows when rows are few. By chance: (bins - 1) * (1/n + 1/m), what independent rows would show without drift. "
    "Bars follow one another, so true chance is larger: usual and largest are the median and maximum over stretches of "
    "the training window as long as the live one, each against the rest."
)
PROTECTED_MARK = "\N{BLACK DIAMOND}"


def percent(value: float | None, digits: int = 1) -> str:
    """Format a fraction as percent; unknown is said, never shown as zero."""
    return UNKNOWN if value is None else f"{100.0 * value:.{digits}f} %"


def number(value: float | None, digits: int = 3) -> str:
    """Format a plain number; unknown is said, never shown as zero."""
    return UNKNOWN if value is None else f"{value:.{digits}f}"


def interval(share: Share) -> str:
    """Format a share's interval."""
    return UNKNOWN if share.low is None or share.high is None else f"{100 * share.low:.1f} to {percent(share.high)}"


def window_of(report: ModelReport, name: str) -> CalibrationReport:
    """Return the calibration of `training` or `live`."""
    return report.training if name == "training" else report.live


def calibration_rows(report: ModelReport) -> list[tuple[str, ...]]:
    """Return a row per measured window and model; see `CALIBRATION_COLUMNS`."""
    return [
        (window if model == MODELS[0] else "", model, *_calibration_words(measured.models[model]))
        for window in WINDOWS
        for measured in (window_of(report, window),)
        if measured.measured
        for model in MODELS
    ]


def _calibration_words(found: Calibration) -> tuple[str, ...]:
    classes = [found.classes[name] for name in CLASSES]
    return (
        number(found.log_loss, 4),
        number(found.log_loss_of_base_rates, 4),
        number(found.brier, 4),
        percent(found.brier_skill, 2),
        percent(found.brier_skill_on_training_rates, 2),
        *(f"{percent(one.calibration_error)} ({100 * one.calibration_error_by_chance:.1f})" for one in classes),
        f"{sum(one.bins_missed for one in classes)} of {sum(len(one.bins) for one in classes)}",
    )


def traded_rows(report: ModelReport) -> list[tuple[str, ...]]:
    """Return a row per measured window and side; see `TRADED_COLUMNS`."""
    return [
        (window if side == SIDES[0] else "", side, *_traded_words(measured.traded[side]))
        for window in WINDOWS
        for measured in (window_of(report, window),)
        if measured.measured
        for side in SIDES
    ]


def _traded_words(traded: Traded) -> tuple[str, ...]:
    return (
        f"{traded.realised.rows:,}",
        f"{traded.realised.effective_rows:,.0f}",
        percent(traded.predicted),
        percent(traded.realised.share),
        interval(traded.realised),
        percent(traded.won.share),
        interval(traded.won),
        UNKNOWN if traded.mean_r is None else f"{traded.mean_r:+.3f}",
    )


def drift_rows(drifts: Sequence[Drift]) -> list[tuple[str, ...]]:
    """Return a row per feature; see `DRIFT_COLUMNS`."""
    return [
        (
            f"{drift.feature} {PROTECTED_MARK}" if drift.protected else drift.feature,
            number(drift.psi),
            drift.band if drift.kind != "constant" or drift.psi > 0.0 else "constant",
            number(drift.psi_by_chance),
            number(drift.psi_typical),
            number(drift.psi_largest) + (" (beyond it)" if drift.beyond_training else ""),
            str(len(drift.bins)),
        )
        for drift in drifts
    ]


def findings(report: ModelReport) -> list[str]:
    """Return what the figures say, window by window, in plain sentences."""
    said = []
    for name in WINDOWS:
        window = window_of(report, name)
        words = WINDOW_WORDS[name].capitalize()
        if window.measured:
            said += [f"{words}: {_calibration_finding(window)}", f"{words}: {_traded_finding(window.traded['both'])}"]
        else:
            said.append(f"{words}: not measured: {window.reason}.")
    said.append(_drift_finding(report))
    if report.position.present:
        said.append(f"Position models, live: {report.position.reason}.")
    return said


def _calibration_finding(window: CalibrationReport) -> str:
    found = window.models["ensemble"]
    skill = found.brier_skill
    worth = (
        f"the ensemble's Brier skill is {percent(skill, 2)}"
        + ("" if skill is None or skill > 0.0 else ", no better than constant shares")
        + f" over {window.rows:,} rows ({window.effective_rows:,.0f} effective)"
    )
    off = [
        f"{name} (error {percent(one.calibration_error)}, by chance {percent(one.calibration_error_by_chance)})"
        for name, one in found.classes.items()
        # Twice what chance shows; a smaller excess is no finding.
        if one.calibration_error > 2.0 * one.calibration_error_by_chance
    ]
    return worth + (
        f"; calibration is off for {', '.join(off)}." if off else "; no calibration error is twice that of chance."
    )


def _traded_finding(traded: Traded) -> str:
    share = traded.realised
    if traded.predicted is None or share.low is None or share.high is None:
        return "no row passes confidence threshold and gap, so nothing is known of those that would be traded."
    verdict = (
        "too sure"
        if traded.predicted > share.high
        else "too modest"
        if traded.predicted < share.low
        else "in agreement"
    )
    return (
        f"{share.rows:,} rows pass threshold and gap; predicted {percent(traded.predicted)}, came "
        f"{percent(share.share)} ({interval(share)}): {verdict}."
    )


def _drift_finding(report: ModelReport) -> str:
    drift = report.drift
    if not drift.measured:
        return f"Drift: not measured: {drift.reason}."
    large = [one for one in drift.features if one.band == "large"]
    beyond = [one.feature for one in drift.features if one.beyond_training and one.band != "stable"]
    counted = f"Drift: {len(large)} of {len(drift.features)} features have a large PSI"
    if drift.features[0].stretches == 0:
        return f"{counted}; the training window is too short to say how much of that is usual."
    if not beyond:
        return f"{counted}; none that is not stable lies beyond what stretches of the training window show."
    return f"{counted}; beyond anything within the training window: {', '.join(beyond)}."
