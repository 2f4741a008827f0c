import torch

from threedimo_training.embedded.warm_up_heads import WarmUpHeads


def _rotations(*shape: int) -> torch.Tensor:
    return torch.linalg.qr(torch.randn(*shape, 3, 3))[0]


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
