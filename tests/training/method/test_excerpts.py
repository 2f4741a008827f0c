import torch

from threedimo.windows import Window
from threedimo_training.method.excerpts import Excerpt, draw_pair, draw_stretch, whole_clip


def _drawn(draw):
    return [draw(5, torch.Generator().manual_seed(seed)) for seed in range(200)]


def test_stretches_are_the_windows_that_the_pipeline_cuts():
    drawn = _drawn(draw_stretch)
    assert {(tuple(each.latent_frames), each.num_lead) for each in drawn} == {
        ((0, 1, 2, 3, 4), 1),
        ((0, 1, 2, 3, 4), 2),
        ((1, 2, 3, 4), 1),
    }
    for each in drawn:
        first, count = each.latent_frames[0], len(each.latent_frames)
        assert (
            range(17)[Window(first, count, 1).video_frames(4)]
            == range(17)[slice(each.video_frames[0], each.video_frames[-1] + 1)]
        )
        assert each.video_frames == sorted(each.video_frames)
        assert each.begins_later == (first == 1)


def test_pairs_are_the_reference_and_any_later_frame():
    drawn = _drawn(draw_pair)
    assert {tuple(each.latent_frames) for each in drawn} == {(0, 1), (0, 2), (0, 3), (0, 4)}
    assert {each.num_lead for each in drawn} == {1}


def test_video_frames_of_a_jump_cut_are_those_that_its_latent_frames_cover():
    pair = Excerpt([0, 3])
    assert pair.video_frames == [0, 9, 10, 11, 12]
    assert pair.last_video_frames == [0, 12]
    assert not pair.begins_later


def test_a_whole_clip_has_every_frame():
    assert whole_clip(3).video_frames == list(range(9))
