import torch

from threedimo_training.embedded.place_head import PlaceHead, hidden_states
from threedimo_training.motion.skeleton import NUM_BODY_JOINTS

GRID = (3, 4, 4)


def _picture() -> tuple[torch.Tensor, torch.Tensor]:
    """The person fills the lower right quarter; every joint is in the middle of it, the last outside."""
    silhouette = torch.zeros(2, 3, 32, 32, dtype=torch.bool)
    silhouette[..., 16:, 16:] = True
    joints = torch.full((2, 3, NUM_BODY_JOINTS, 2), 0.76)
    joints[:, :, -1] = 1.4
    return silhouette, joints


def test_tokens_that_know_the_place_have_a_small_loss():
    head, (silhouette, joints) = PlaceHead(8), _picture()
    hidden = torch.zeros(2, 48, 8).view(2, 3, 4, 4, 8)
    hidden[..., 2:, 2:, 0] = 1
    hidden[..., 3, 3, 1] = 1
    optimizer = torch.optim.Adam(head.parameters(), 3e-2)
    first = last = 0.0
    for step in range(200):
        loss = head.loss(hidden.view(2, 48, 8), GRID, silhouette, joints)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        first, last = (loss.item(), 0.0) if step == 0 else (first, loss.item())
    assert first > 0.6
    assert last < 0.05


def test_every_frame_is_asked_the_clean_ones_too():
    head, (silhouette, joints) = PlaceHead(8), _picture()
    hidden = torch.randn(2, 48, 8, requires_grad=True)
    head.loss(hidden, GRID, silhouette, joints).backward()
    assert hidden.grad.view(2, 3, 16, 8).flatten(2).any(dim=2).all()


def test_joints_outside_the_picture_are_nobodys_place():
    head, (silhouette, joints) = PlaceHead(8), _picture()
    hidden = torch.randn(2, 48, 8)
    outside = torch.full_like(joints, -0.5)
    loss = head.loss(hidden, GRID, silhouette, outside)
    assert torch.isfinite(loss)
    assert loss < head.loss(hidden, GRID, silhouette, joints)


def test_hidden_states_are_collected_only_inside_the_context():
    block = torch.nn.Linear(2, 2)
    with hidden_states(block) as seen:
        block(torch.zeros(1, 2))
    block(torch.zeros(1, 2))
    assert len(seen) == 1
