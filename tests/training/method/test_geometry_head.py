import torch

from threedimo_training.method.geometry_head import GeometryHead, rotation_6d


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
