"""Whether what the paper saw shows here too, as a plain sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import scipy.stats

from threedimo_training.ablations.variants import VARIANTS, Claim, Variant
from threedimo_training.evaluation.intervals import Figure, summarise

Outcome = Literal["worse", "no difference", "better", "undecided"]
_WORDS: dict[Claim, str] = {
    "flow_loss": "loss by text alone",
    "hinted_flow_loss": "loss with hints",
    "motion_sensitivity": "motion sensitivity",
    "camera_text_sensitivity": "camera-text sensitivity",
}
_WHERE = {
    "all": "over all splits",
    "same_view": "in same view",
    "cross_view": "in cross view",
    "moving_camera": "with a moving camera",
}


@dataclass(frozen=True)
class Verdict:
    """What became of a variant's claim.

    Attributes:
        outcome: Against the whole method, beyond the clips' 95% interval or within it; "undecided" where the
            whole method itself does not listen to what the claim is about.
        sentence: The same in words, with the likely reason where the paper saw otherwise.
    """

    outcome: Outcome
    sentence: str


def difference(name: str, values: list[float], full: list[float]) -> Figure:
    """A variant against the whole method, clip by clip: losses as shares, sensitivities as they are."""
    pairs = zip(values, full, strict=True)
    if name.endswith("loss"):
        return summarise([value / other - 1 for value, other in pairs])
    return summarise([value - other for value, other in pairs])


def outcome(name: str, found: Figure) -> Outcome:
    """What a difference says; losses are worse when higher, sensitivities when lower."""
    if found.ci95 is None:
        return "no difference"
    low, high = found.ci95 if name.endswith("loss") else (-found.ci95[1], -found.ci95[0])
    if low > 0:
        return "worse"
    return "better" if high < 0 else "no difference"


def verdict(variant: Variant, found: Figure, full: Figure) -> Verdict:
    """Judge a variant by the figure that its claim is about.

    Args:
        variant: Not the whole method.
        found: `difference` of the claim's figure in the claim's split.
        full: The whole method's own figure there.
    """
    what = f"{_WORDS[variant.claim]} {_WHERE[variant.claim_split]}"
    if variant.claim.endswith("sensitivity") and (full.ci95 is None or full.ci95[0] <= 0):
        own = f"{_signed(full.mean)}{_interval(full)}"
        return Verdict("undecided", f"Cannot be judged: the whole method's own {what} is {own}.")
    result = outcome(variant.claim, found)
    told = f"{what} {_signed(found.mean)}{_interval(found)} against the whole method"
    paper = f"; the paper saw: {variant.seen}" if variant.seen else ""
    if result == "worse":
        head = "Reproduces" if variant.paper else "Worse without it"
        return Verdict(result, f"{head}: {told}{paper}.")
    head = {"better": "Better without it", "no difference": "No difference beyond noise"}[result]
    if variant.paper:
        head = f"Does not reproduce ({head.lower()})"
    reason = f" Likely reason: {variant.differs}, and the budget is small." if variant.differs else ""
    return Verdict(result, f"{head}: {told}{paper}.{reason}")


def order(losses: Mapping[str, float]) -> dict[str, Any]:
    """The order of the paper's rows by its FVD beside ours by loss.

    Args:
        losses: `flow_loss` over all splits, by variant.

    Returns:
        `paper` and `ours`, best first; `rank_correlation` (Spearman), None for fewer than three rows.
    """
    fvd = {name: VARIANTS[name].paper.fvd for name in losses if VARIANTS[name].paper}  # pyright: ignore[reportOptionalMemberAccess]
    names = list(fvd)
    correlation = None
    if len(names) > 2:
        found: Any = scipy.stats.spearmanr([fvd[name] for name in names], [losses[name] for name in names])
        correlation = float(found.statistic)
    return {
        "paper": sorted(names, key=lambda name: fvd[name]),
        "ours": sorted(names, key=lambda name: losses[name]),
        "rank_correlation": correlation,
    }


def _signed(value: float | None) -> str:
    return "unknown" if value is None else f"{100 * value:+.1f} %"


def _interval(figure: Figure) -> str:
    if figure.ci95 is None:
        return ""
    return f" ({100 * figure.ci95[0]:+.1f} to {100 * figure.ci95[1]:+.1f})"
