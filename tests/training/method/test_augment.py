import torch

from threedimo_training.method.augment import jitter_colours, warp_perspective


def test_the_whole_clip_is_changed_alike(generator):
    video = torch.rand(2, 3, 1, 16, 16).expand(2, 3, 5, 16, 16) * 2 - 1
    for augment in (jitter_colours, warp_perspective):
        changed = augment(video, generator)
        assert changed.shape == video.shape
        assert torch.equal(changed[:, :, 0], changed[:, :, 4])
        assert not torch.equal(changed, video)
        assert changed.abs().max() <= 1


def test_clips_of_a_batch_are_changed_differently(generator):
    video = (torch.rand(1, 3, 1, 16, 16) * 2 - 1).expand(2, 3, 1, 16, 16)
    assert not torch.equal(*warp_perspective(video, generator))
    assert not torch.equal(*jitter_colours(video, generator))


def test_same_seed_same_augmentation():
    video = torch.rand(1, 3, 2, 16, 16) * 2 - 1
    first, second = (warp_perspective(video, torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(first, second)
