from __future__ import annotations

import pytest

from threedimo_training.ablations.variants import VARIANTS
from threedimo_training.ablations.verdicts import difference, order, outcome, verdict
from threedimo_training.evaluation.intervals import Figure, summarise

LISTENS = Figure(0.2, (0.1, 0.3), 9)


def test_losses_are_compared_as_shares_and_sensitivities_as_they_are():
    assert difference("flow_loss", [1.1, 2.2], [1.0, 2.0]).mean == pytest.approx(0.1)
    assert difference("motion_sensitivity", [0.3, 0.1], [0.2, 0.2]).mean == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("name", "interval", "wanted"),
    [
        ("flow_loss", (0.01, 0.2), "worse"),
        ("flow_loss", (-0.2, -0.1), "better"),
        ("flow_loss", (-0.1, 0.1), "no difference"),
        ("motion_sensitivity", (-0.2, -0.1), "worse"),
        ("motion_sensitivity", (0.1, 0.2), "better"),
        ("flow_loss", None, "no difference"),
    ],
)
def test_worse_is_a_higher_loss_or_a_lower_sensitivity(name, interval, wanted):
    assert outcome(name, Figure(sum(interval or (0,)) / 2, interval, 9)) == wanted


def test_what_reproduces_says_so_beside_the_paper():
    found = verdict(VARIANTS["channel_concatenation"], Figure(-0.15, (-0.2, -0.1), 9), LISTENS)
    assert found.outcome == "worse"
    assert found.sentence == (
        "Reproduces: motion sensitivity over all splits -15.0 % (-20.0 to -10.0) against the whole method; "
        "the paper saw: weak motion control."
    )


def test_what_does_not_reproduce_gives_the_likely_reason():
    found = verdict(VARIANTS["smpl_pose"], Figure(-0.05, (-0.07, -0.03), 9), summarise([1.0, 2.0]))
    assert found.sentence.startswith("Does not reproduce (better without it): loss by text alone")
    assert "Likely reason: the pose is the exact one" in found.sentence


def test_nothing_is_said_of_listening_while_nobody_listens():
    deaf = Figure(0.0, (-0.1, 0.1), 9)
    found = verdict(VARIANTS["no_place_head"], Figure(-0.1, (-0.2, -0.05), 9), deaf)
    assert found.outcome == "undecided"
    assert "Cannot be judged" in found.sentence


def test_orders_are_compared_by_rank():
    losses = {"full": 1.0, "no_hand_encoder": 1.1, "stage_1_only": 1.2, "no_hints": 0.5}
    found = order(losses)
    assert found["paper"] == found["ours"] == ["full", "no_hand_encoder", "stage_1_only"]
    assert found["rank_correlation"] == pytest.approx(1.0)
    assert order({"full": 1.0, "no_hints": 0.5})["rank_correlation"] is None
