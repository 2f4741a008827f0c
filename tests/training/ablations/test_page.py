from __future__ import annotations

import pytest

from threedimo_training.ablations.page import _round_heights, read_curve


def test_a_step_that_was_taken_twice_counts_once(tmp_path):
    # a killed training repeats the steps after its last saved state
    rows = ["step,name,value", "50,flow,1", "50,motion_sensitivity,0.1", "100,motion_sensitivity,0.3"]
    (tmp_path / "generator.csv").write_text("\n".join([*rows, "50,motion_sensitivity,0.2", ""]))
    assert read_curve(tmp_path) == [(50, 0.2), (100, 0.3)]


@pytest.mark.parametrize(
    ("values", "low", "high"), [([], 0, 1), ([0.3], 0, 1), ([-2.8, -1.8], -3, 1), ([55.0], 0, 60)]
)
def test_heights_are_round_and_hold_all_values(values, low, high):
    heights = _round_heights(values)
    assert (heights[0], heights[-1]) == (low, high)
    assert len(heights) <= 7
