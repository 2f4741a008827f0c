import torch

from threedimo_training.geometry_head import GeometryHead, WarmUpHeads, rotation_6d


def _rotations(*shape: int) -> torch.Tensor:
    return torch.linalg.qr(torch.randn(*shape, 3, 3))[0]


def test_six_numbers_are_the_first_two_columns():
    matrix = torch.arange(9.0).view(3, 3)
    assert rotation_6d(matrix).tolist() == [0, 3, 6, 1, 4, 7]


def test_geometry_ignores_the_root_orientation():
    head, tokens, rotations = GeometryHead(10, 8), torch.randn(4, 10, 8), _rotations(4, 54)
    turned = rotations.clone()
    turned[:, 0] = _rotations(4)
    assert torch.equal(head.loss(tokens, rotations), head.loss(tokens, turned))
    turned[:, 1] = _rotations(4)
    assert not torch.equal(head.loss(tokens, rotations), head.loss(tokens, turned))


def test_warm_up_heads_learn_a_fixed_pose():
    heads = WarmUpHeads(num_tokens=2, motion_dim=4)
    tokens, rotations, joints = torch.randn(8, 2, 4), _rotations(8, 54), torch.randn(8, 24, 3)
    places = torch.rand(8, 24, 2)
    optimizer = torch.optim.Adam(heads.parameters(), 1e-2)
    errors = []
    for _ in range(60):
        losses = heads.losses(tokens, rotations, joints, joints, places)
        optimizer.zero_grad()
        losses["loss"].backward()
        optimizer.step()
        errors.append([losses[name].item() for name in ("body_mm", "camera_mm", "place")])
    assert all(last < 0.5 * first for first, last in zip(errors[0], errors[-1], strict=True))


def test_joints_outside_the_picture_are_not_asked_for():
    heads = WarmUpHeads(num_tokens=2, motion_dim=4)
    tokens, rotations, joints = torch.randn(1, 2, 4), _rotations(1, 54), torch.randn(1, 24, 3)
    places = torch.rand(1, 24, 2)
    elsewhere = places.clone()
    elsewhere[:, 5] = torch.tensor([1.5, 0.5])
    further = elsewhere.clone()
    further[:, 5, 0] = 2.5

    def error(places: torch.Tensor) -> float:
        return heads.losses(tokens, rotations, joints, joints, places)["place"].item()

    assert error(elsewhere) == error(further) != error(places)
