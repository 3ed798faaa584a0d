"""Rules by which a challenger replaces the incumbent: evidence in, verdict in plain words out. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from novosky.settings.ml import Decision


@dataclass(frozen=True)
class Evidence:
    """What is known of a challenger and of the incumbent on the same bars; shares are fractions.

    Attributes
    ----------
    new_score, old_score : float or None
        At 1 % risk a trade, so that nobody wins by betting less; over the whole out-of-sample window, None
        with too few trades for a score.
    new_trades, old_trades : int
    new_return, old_return : float
        Of the account over that window.
    incumbent : bool
        False before the first set: the incumbent is cash.
    unseen_days : int
        Days of the window that no search and no sweep has seen.
    probability : float or None
        Paired bootstrap probability, on those days, that the challenger's mean daily return is
        higher where both risk 1 % a trade; None with too few days.
    probability_whole : float or None
        The same over the whole window, of which the sweep has seen a part.
    deflated_sharpe : float or None
        Probability that the challenger's true Sharpe ratio is above 0 given `trials`.
    trials : int
        Configurations ever tried, of earlier runs too.
    pbo : float or None
        Probability of backtest overfitting of the sweep; None without a sweep.
    folds, folds_won : int
        Walk-forward folds of the search on the training window, and those with a gain.
    """

    new_score: float | None
    old_score: float | None
    new_trades: int
    old_trades: int
    new_return: float
    old_return: float
    incumbent: bool
    unseen_days: int
    probability: float | None
    probability_whole: float | None
    deflated_sharpe: float | None
    trials: int
    pbo: float | None
    folds: int
    folds_won: int

    @property
    def improvement(self) -> float | None:
        """The new score over the old one, minus 1; None without both."""
        if self.new_score is None or not self.old_score:
            return None
        return self.new_score / self.old_score - 1.0


@dataclass(frozen=True)
class Check:
    """One question asked of the evidence.

    Attributes
    ----------
    name : str
    passed : bool
    required : bool
        Whether the decision hangs on it.
    text : str
        The figures, in words.
    """

    name: str
    passed: bool
    required: bool
    text: str


@dataclass(frozen=True)
class Verdict:
    """The decision and everything it rests on.

    Attributes
    ----------
    approved : bool
        Whether the challenger is put in place on this machine.
    publishable : bool
        Whether others may have it. A first set, which nothing was there to compare with, is put
        in place where it earns, so that the next one has something to beat; it is published only
        where it also beats cash as surely as it would have to beat an incumbent.
    checks : tuple of Check
    """

    approved: bool
    publishable: bool
    checks: tuple[Check, ...]

    @property
    def reason(self) -> str:
        """Why, in one sentence."""
        failed = [check.text for check in self.checks if check.required and not check.passed]
        if failed:
            return "reverted: " + "; ".join(failed)
        return "shipped: " + "; ".join(check.text for check in self.checks if check.required)


def decide(evidence: Evidence, rules: Decision) -> Verdict:
    """Judge a challenger.

    Parameters
    ----------
    evidence : Evidence
    rules : Decision
        `ml_config.json → decision`; a limit of None is reported and not required.

    Returns
    -------
    Verdict
        Approved when every required check passes.
    """
    compared = _bootstrap(evidence, rules)
    checks = (
        _trades(evidence, rules),
        _gate(evidence, rules),
        compared,
        _at_least(
            "deflated Sharpe",
            evidence.deflated_sharpe,
            rules.min_deflated_sharpe,
            f"deflated Sharpe after {evidence.trials} trials",
            "no deflated Sharpe: too few days or no variance",
        ),
        _overfitting(evidence, rules),
        _folds(evidence, rules),
    )
    approved = all(check.passed for check in checks if check.required)
    return Verdict(approved, approved and compared.passed, checks)


def _bootstrap(evidence: Evidence, rules: Decision) -> Check:
    check = _at_least(
        "bootstrap",
        evidence.probability,
        rules.min_probability,
        f"P(new > {'old' if evidence.incumbent else 'cash'}) on the {evidence.unseen_days} days nothing was chosen on",
        f"the {evidence.unseen_days} unseen days are too few to compare",
    )
    if evidence.incumbent:
        return check
    # A first set replaces nothing, so it need not beat cash to be used here; others get it only when it does.
    return replace(check, required=False, text=check.text.replace("needed", "needed to publish a first set"))


def _trades(evidence: Evidence, rules: Decision) -> Check:
    text = f"{evidence.new_trades} trades, at least {rules.min_trades} needed"
    return Check("trades", evidence.new_trades >= rules.min_trades, True, text)


def _gate(evidence: Evidence, rules: Decision) -> Check:
    name = f"{100.0 * rules.min_improvement:g} % gate"
    if evidence.new_score is None:
        return Check(name, False, True, "the challenger has too few trades for a score")
    if evidence.old_score is None:
        # Nothing to be 2 % better than: then it has to earn, which cash does not.
        whom = "the incumbent has too few trades for a score" if evidence.incumbent else "there is no incumbent"
        text = f"{whom}, so the challenger must earn; it returned {evidence.new_return:+.1%}"
        return Check(name, evidence.new_return > max(evidence.old_return, 0.0), True, text)
    least = evidence.old_score * (1.0 + rules.min_improvement)
    text = f"score at equal risk {evidence.new_score:.2f} against {evidence.old_score:.2f}, at least {least:.2f} needed"
    # A score never falls below 0, so a losing pair could tie at 0 and pass.
    return Check(name, evidence.new_score >= least and evidence.new_score > 0.0, True, text)


def _at_least(name: str, value: float | None, least: float | None, label: str, unknown: str) -> Check:
    if value is None:
        return Check(name, False, least is not None, unknown)
    wanted = "" if least is None else f", at least {least:.2f} needed"
    return Check(name, least is None or value >= least, least is not None, f"{label} {value:.2f}{wanted}")


def _overfitting(evidence: Evidence, rules: Decision) -> Check:
    if evidence.pbo is None:
        return Check(
            "overfitting",
            rules.max_pbo is None,
            rules.max_pbo is not None,
            "no PBO: no sweep, or too few of its rows could be chosen",
        )
    wanted = "" if rules.max_pbo is None else f", at most {rules.max_pbo:.2f} allowed"
    passed = rules.max_pbo is None or evidence.pbo <= rules.max_pbo
    text = f"probability of backtest overfitting of the sweep {evidence.pbo:.2f}{wanted}"
    return Check("overfitting", passed, rules.max_pbo is not None, text)


def _folds(evidence: Evidence, rules: Decision) -> Check:
    least = rules.min_positive_folds
    if evidence.folds == 0:
        return Check("folds", least is None, least is not None, "no search, so no walk-forward folds")
    share = evidence.folds_won / evidence.folds
    wanted = "" if least is None else f", a share of {least:.0%} needed"
    text = f"{evidence.folds_won} of {evidence.folds} walk-forward folds gained{wanted}"
    return Check("folds", least is None or share >= least, least is not None, text)
