import pytest
import torch

from threedimo_training.method.schedule import dropped, geometry_weight, mixture


def test_the_three_mixtures_have_the_papers_proportions():
    assert set(mixture(0.0, 8)) == set(mixture(0.32, 8)) == {"same_view"}
    balanced = mixture(0.5, 8)
    assert balanced.count("same_view") == 4
    assert balanced.count("cross_view") == balanced.count("moving_camera") == 2
    assert set(mixture(0.9, 8)) == set(mixture(1.0, 8)) == {"cross_view", "moving_camera"}


@pytest.mark.parametrize(("progress", "weight"), [(0.0, 0.1), (0.2, 0.05), (0.4, 0.0), (1.0, 0.0)])
def test_geometry_fades_over_the_first_two_fifths(progress, weight):
    assert geometry_weight(progress) == pytest.approx(weight)


def test_dropped_samples_are_zero_and_the_others_untouched():
    tokens = torch.randn(400, 3, 2, 5)
    kept = dropped(tokens, 0.25, torch.Generator().manual_seed(0))
    gone = (kept == 0).flatten(1).all(dim=1)
    assert 0.15 < gone.float().mean() < 0.35
    assert torch.equal(kept[~gone], tokens[~gone])
