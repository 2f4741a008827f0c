import numpy as np
import pytest
import torch

from threedimo.errors import InvalidRequest
from threedimo_training.renderers.torch_renderer import TorchRenderer
from threedimo_training.samples.batches import film_batch
from threedimo_training.samples.motions import ProceduralMotions
from threedimo_training.samples.sample import ROLES
from threedimo_training.samples.staging import stage_sample

NUM = 3


@pytest.fixture(scope="module")
def batch():
    """The first samples of the fixture `samples`, staged alike and filmed together by the torch renderer."""
    return film_batch(TorchRenderer("cpu"), [_staged(number, 64) for number in range(NUM)])


def _staged(number: int, size: int):
    rng = np.random.default_rng([3, number])
    return stage_sample(rng, ProceduralMotions(), size=size, num_frames=9, fps=8.0, role=ROLES[number % 3])


def test_a_batch_shows_what_single_samples_show(batch, samples):
    for name in ("driving", "target"):
        frames = getattr(batch, f"{name}_frames").numpy()
        wanted = np.stack([getattr(sample, name).frames for sample in samples[:NUM]])
        different = np.abs(frames.astype(int) - wanted).max(axis=-1) > 8
        assert frames.shape == wanted.shape
        assert different.mean() < 0.005
        silhouettes = getattr(batch, f"{name}_silhouettes").numpy()
        wanted = np.stack([getattr(sample, name).silhouette for sample in samples[:NUM]])
        assert (silhouettes != wanted).mean() < 0.002


def test_hands_and_labels_are_those_of_single_samples(batch, samples):
    assert batch.roles == [sample.role for sample in samples[:NUM]]
    wanted = np.stack([sample.hand_crops for sample in samples[:NUM]])
    different = np.abs(batch.hand_crops.numpy().astype(int) - wanted).max(axis=-1) > 8
    assert wanted.any()
    assert different.mean() < 0.01
    for found, sample in zip(batch.target, samples, strict=False):
        assert found.text == sample.target.text
        assert found.silhouette is None
        np.testing.assert_array_equal(found.joints_world, sample.target.joints_world)
        np.testing.assert_array_equal(found.smpl_pose, sample.target.smpl_pose)


def test_pictures_stay_tensors(batch):
    assert all(
        isinstance(getattr(batch, name), torch.Tensor)
        for name in ("driving_frames", "target_frames", "hand_crops", "target_silhouettes")
    )


def test_samples_of_two_sizes_are_no_batch():
    with pytest.raises(InvalidRequest, match="one size"):
        film_batch(TorchRenderer("cpu"), [_staged(0, 64), _staged(0, 48)])
