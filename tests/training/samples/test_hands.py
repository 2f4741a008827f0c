import numpy as np

from threedimo_training.motion.skeleton import HAND_JOINTS


def test_boxes_hold_the_fingers_and_crops_show_them(samples):
    seen = 0
    for sample in samples:
        clip = sample.driving
        view = np.einsum(
            "fji,fnj->fni", clip.path.rotations, clip.joints_world - clip.path.positions[:, None]
        )
        pixels = np.einsum("fij,fnj->fni", clip.path.intrinsics, view)
        pixels = pixels[..., :2] / pixels[..., 2:]
        for hand, joints in enumerate(HAND_JOINTS):
            boxes = clip.hand_boxes[:, hand]
            there = ~np.isnan(boxes[:, 0])
            fingers, boxes = pixels[there, joints], boxes[there]
            assert (fingers >= boxes[:, None, :2] - 0.5).all()
            assert (fingers <= boxes[:, None, 2:] + 0.5).all()
            crops = sample.hand_crops[:, hand]
            assert (crops[there].std(axis=(1, 2, 3)) > 2).all()
            assert not crops[~there].any()
            seen += there.sum()
    assert seen > 60
