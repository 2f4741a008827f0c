"""What the pictures of both renderers have in common with the world that they show."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from threedimo_training.motion.skeleton import NUM_BODY_JOINTS
from threedimo_training.people.person import CHECKS, DOTS, LOGO, RINGS, SOLID, STRIPES
from threedimo_training.renderers.cpu import CpuRenderer
from threedimo_training.renderers.renderer import Shot
from threedimo_training.renderers.scene import make_scene
from threedimo_training.renderers.torch_renderer import TorchRenderer


def _grown(mask, pixels):
    """True within so many pixels of the mask."""
    grown = mask.copy()
    for dim in (-1, -2):
        for step in range(1, pixels + 1):
            grown |= np.roll(mask, step, dim) | np.roll(mask, -step, dim)
        mask = grown.copy()
    return grown


def _plain(scene, level):
    """The place with all colours at one level: 0 is black, and far above 1 is white in any light."""
    colour = (np.float32(level),) * 3
    return scene._replace(
        floor_colours=(colour,) * 3,
        wall_colours=(colour,) * 4,
        mark_colours=(colour,) * 4,
        picture_colours=(colour,) * 4,
        sky_colours=(colour,) * 2,
        clouds=np.float32(0),
        blocks=tuple(block._replace(colours=(colour,) * 2) for block in scene.blocks),
    )


@pytest.mark.parametrize("seed", [1, 4])
def test_silhouettes_are_where_less_than_half_of_the_place_shows_through(studio, renderer, person, seed):
    args = studio.around(2, sweep=1.0), studio.lens(2, 48, 48), 48, 48
    posed = studio.stand(person, 2)
    black = renderer.render(person, posed, _plain(make_scene(seed), 0.0), *args)
    white = renderer.render(person, posed, _plain(make_scene(seed), 1e6), *args)
    through = (white.frames.astype(int) - black.frames).max(axis=-1) / 255
    assert np.abs(4 * through - np.round(4 * through)).max() < 0.05
    assert np.array_equal(black.silhouettes, through < 0.6)
    assert 0.05 < black.silhouettes.mean() < 0.5
    assert (through[~_grown(black.silhouettes, 1)] > 0.99).mean() > 0.99


def test_joints_lie_inside_the_silhouette(studio, renderer, person):
    width, height, frames = 80, 60, 4
    posed = studio.stand(person, frames, turn=2.0)
    cameras, lens = studio.around(frames, sweep=1.0), studio.lens(frames, width, height)
    seen = renderer.render(person, posed, make_scene(2), cameras, lens, width, height)
    joints = posed.positions[:, :NUM_BODY_JOINTS] - cameras[:, None, :3, 3]
    local = np.einsum("fji,fkj->fki", cameras[:, :3, :3], joints)
    pixels = np.einsum("fij,fkj->fki", lens, local / local[..., 2:])[..., :2].astype(int)
    near = _grown(seen.silhouettes, 2)
    inside = [near[f, y, x] for f in range(frames) for x, y in pixels[f]]
    assert np.mean(inside) > 0.97


def test_the_shadow_falls_away_from_the_lamp(studio, renderer, person):
    plain = ((np.float32(0.6),) * 3,) * 3
    above = studio.look_at(np.array([0.0, -0.01, 6.0]), np.zeros(3))[None]
    args = above, studio.lens(1, 48, 48, 1.0), 48, 48
    # in this picture the world's x runs to the right and its y upwards
    for towards, lit, dark in (((0.7, 0, 0.714), (0, 1), (0, -1)), ((0, -0.7, 0.714), (1, 0), (-1, 0))):
        lamp = tuple(np.float32(value) for value in towards)
        scene = make_scene(1)._replace(lamp=lamp, lamp_light=np.float32(0.6), floor_colours=plain)
        frame = renderer.render(person, studio.stand(person, arms=0.3), scene, *args).frames[0].mean(axis=-1)
        # eight pixels are a metre
        bright, shaded = (
            frame[
                24 + 8 * side[0] - 1 : 24 + 8 * side[0] + 2, 24 + 8 * side[1] - 1 : 24 + 8 * side[1] + 2
            ].mean()
            for side in (lit, dark)
        )
        assert shaded < 0.8 * bright


def test_the_floor_is_dark_below_a_foot_and_not_below_a_jumper(studio, renderer, person):
    scene = make_scene(1)._replace(floor_colours=((np.float32(0.6),) * 3,) * 3, lamp_light=np.float32(0))
    camera = studio.look_at(np.array([0.0, -2.0, 0.8]), np.array([0.0, -0.2, 0.0]))[None]
    levels = []
    for lift in (0.0, 0.7):
        posed = studio.stand(person)
        posed.positions[..., 2] += lift
        seen = renderer.render(person, posed, scene, camera, studio.lens(1, 48, 48, 1.6), 48, 48)
        below = seen.frames[0, 26:].mean(axis=-1)[~_grown(seen.silhouettes[0, 26:], 1)]
        levels.append(below.min())
    assert levels[0] < 0.85 * levels[1]


@pytest.mark.parametrize("seed", range(12))
def test_camera_motion_is_visible_in_every_place(studio, person, seed):
    """A turn by 6 degrees and a step of 25 cm both change the surroundings."""
    scene, size = make_scene(seed), 64
    start = studio.around(1)[0]
    turned, moved = start.copy(), start.copy()
    angle = np.deg2rad(6)
    yaw = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    turned[:3, :3] = yaw @ start[:3, :3]
    moved[:3, 3] += 0.25 * start[:3, 0]
    cameras = np.stack([start, turned, moved])
    seen = CpuRenderer().render(
        person, studio.stand(person, 3), scene, cameras, studio.lens(3, size, size), size, size
    )
    background = ~_grown(seen.silhouettes.any(axis=0), 1)
    frames = seen.frames.astype(int)
    for other in (1, 2):
        difference = np.abs(frames[other] - frames[0]).mean(axis=-1)[background]
        assert difference.mean() > 1.0
        assert (difference > 4).mean() > 0.05


def _many_shots(studio):
    """Six shots of different people, places, cameras and lengths, with every kind of pattern."""
    patterns = [
        (RINGS, SOLID),
        (STRIPES, CHECKS),
        (CHECKS, DOTS),
        (DOTS, RINGS),
        (LOGO, STRIPES),
        (SOLID, LOGO),
    ]
    shots = []
    # together these places have all kinds of floors, walls and blocks
    for i, (pair, seed) in enumerate(zip(patterns, (0, 1, 4, 7, 8, 9), strict=True)):
        person = studio.capsules(2 + i % 3, 6 + i, pair, seed=i)
        frames = 1 + i % 3
        cameras = studio.around(frames, azimuth=i, sweep=0.8, distance=1.2 + 0.5 * i, height=0.4 + 0.3 * i)
        shots.append(
            Shot(
                person,
                studio.stand(person, frames, turn=1.0),
                make_scene(seed),
                cameras,
                studio.lens(frames, 60, 44),
            )
        )
    return shots


def _rendered(renderer, shot):
    return renderer.render(
        shot.person, shot.posed, shot.scene, shot.world_from_camera, shot.intrinsics, 60, 44
    )


def test_both_renderers_make_the_same_picture(studio):
    """At most one pixel in 2,000 differs by more than 8 of 255; silhouettes likewise."""
    for shot in _many_shots(studio):
        first, second = _rendered(CpuRenderer(), shot), _rendered(TorchRenderer("cpu"), shot)
        difference = np.abs(first.frames.astype(int) - second.frames).max(axis=-1)
        assert (difference > 8).mean() <= 5e-4
        assert difference.mean() < 0.02
        assert (first.silhouettes != second.silhouettes).mean() <= 5e-4
        assert np.abs(first.hand_cover - second.hand_cover).max() < 5e-4


def test_the_same_call_makes_the_same_picture(studio, renderer):
    shot = _many_shots(studio)[2]
    first, second = _rendered(renderer, shot), _rendered(renderer, shot)
    assert np.array_equal(first.frames, second.frames)
    assert np.array_equal(first.hand_cover, second.hand_cover)


def test_threads_do_not_disturb_each_other(studio):
    shots, renderer = _many_shots(studio), CpuRenderer()
    alone = [_rendered(renderer, shot).frames for shot in shots]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda shot: _rendered(renderer, shot).frames, shots))
    assert all(np.array_equal(*pair) for pair in zip(alone, together, strict=True))


@pytest.mark.parametrize("memory_bytes", [2 << 30, 10_000_000, 200_000])
def test_shots_of_a_batch_are_the_shots_alone(studio, memory_bytes):
    """However small the pieces are in which they are computed."""
    shots = _many_shots(studio)
    batch = TorchRenderer("cpu", memory_bytes=memory_bytes).render_shots(shots, 60, 44)
    alone = [_rendered(TorchRenderer("cpu"), shot) for shot in shots]
    assert isinstance(batch.frames, torch.Tensor)
    difference = np.abs(batch.frames.numpy().astype(int) - np.concatenate([one.frames for one in alone]))
    assert (difference > 1).mean() < 1e-3  # sums may be taken in another order
    assert np.array_equal(batch.silhouettes.numpy(), np.concatenate([one.silhouettes for one in alone]))
    assert np.allclose(batch.hand_cover.numpy(), np.concatenate([one.hand_cover for one in alone]))


@pytest.mark.parametrize(("width", "height"), [(50, 20), (7, 33), (1, 1)])
def test_pictures_need_not_be_square(studio, renderer, person, width, height):
    cameras = studio.around(2)
    seen = renderer.render(
        person, studio.stand(person, 2), make_scene(4), cameras, studio.lens(2, width, height), width, height
    )
    assert seen.frames.shape == (2, height, width, 3)
    assert seen.frames.dtype == np.uint8
    assert seen.silhouettes.shape == (2, height, width)
    assert seen.hand_cover.shape == (2, 2)


def test_a_wider_picture_shows_the_same_in_its_middle(studio, renderer, person):
    scene, cameras = make_scene(4), studio.around(1)
    square = renderer.render(person, studio.stand(person), scene, cameras, studio.lens(1, 32, 32), 32, 32)
    wide = renderer.render(person, studio.stand(person), scene, cameras, studio.lens(1, 64, 32), 64, 32)
    assert np.array_equal(square.silhouettes, wide.silhouettes[:, :, 16:48])
    assert np.abs(square.frames.astype(int) - wide.frames[:, :, 16:48]).mean() < 0.1
