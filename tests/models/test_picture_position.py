from __future__ import annotations

import torch

from threedimo.models import MotionWanTransformer3DModel
from threedimo.models.picture_position import PicturePosition

from .conftest import BASE, MOTION

OCTAVES = 3


def trained_position(dim: int = 8) -> PicturePosition:
    position = PicturePosition(dim, OCTAVES)
    torch.nn.init.normal_(position.proj.weight)
    return position


def places(position: PicturePosition, *grid: int) -> torch.Tensor:
    """What is added to each token, (latent_frames, height, width, dim)."""
    dim = position.proj.out_features
    added = position(torch.zeros(1, grid[0] * grid[1] * grid[2], dim), (grid[0], grid[1], grid[2]))
    return added.unflatten(1, grid)[0]


def test_before_training_nothing_is_added(video_inputs, tokens):
    plain = MotionWanTransformer3DModel(**BASE, **MOTION).eval()
    positioned = MotionWanTransformer3DModel(**BASE, **MOTION, position_octaves=OCTAVES).eval()
    missing, unexpected = positioned.load_state_dict(plain.state_dict(), strict=False)
    assert sorted(missing) == ["picture_position.proj.bias", "picture_position.proj.weight"]
    assert not unexpected
    inputs = {**video_inputs(), **tokens}
    with torch.no_grad():
        torch.testing.assert_close(positioned(**inputs).sample, plain(**inputs).sample, rtol=0, atol=0)


def test_stock_generators_have_none(base):
    adapted = MotionWanTransformer3DModel.from_transformer(base, **MOTION)
    assert adapted.picture_position is None
    assert not [name for name in adapted.state_dict() if "picture_position" in name]


def test_every_place_is_told_apart_and_all_frames_have_the_same():
    added = places(trained_position(), 3, 4, 6)
    assert torch.equal(added[0], added[1])
    assert torch.equal(added[0], added[2])
    flat = added[0].flatten(0, 1)
    distances = torch.cdist(flat, flat) + torch.eye(len(flat)) * 9
    assert distances.min() > 0.1


def test_a_wider_picture_only_adds_places_at_its_sides():
    position = trained_position()
    torch.testing.assert_close(places(position, 1, 4, 8)[:, :, 2:6], places(position, 1, 4, 4))


def test_more_tokens_of_the_same_picture_are_places_in_between():
    position = trained_position()
    coarse, fine = places(position, 1, 1, 1)[0, 0, 0], places(position, 1, 3, 3)[0, 1, 1]
    torch.testing.assert_close(coarse, fine)
