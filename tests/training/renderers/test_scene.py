"""Places: reproducible, different, wide enough."""

from __future__ import annotations

import pickle

import numpy as np

from threedimo_training.renderers.scene import BLANK, HILLS, NUM_BLOCKS, TILES, Scene, make_scene


def test_a_seed_decides_the_place():
    assert make_scene(5) == make_scene(5)
    assert len({repr(make_scene(seed)) for seed in range(200)}) == 200
    assert pickle.loads(pickle.dumps(make_scene(5))) == make_scene(5)


def test_there_are_rooms_and_places_under_the_sky_with_all_their_patterns():
    scenes = [make_scene(seed) for seed in range(300)]
    assert 0.2 < np.mean([scene.outdoors for scene in scenes]) < 0.4
    assert {scene.floor_kind for scene in scenes} == set(range(6))
    assert {kind for scene in scenes for kind in scene.wall_kinds} == set(range(7))
    assert {block.pattern for scene in scenes for block in scene.blocks} == set(range(4))


def test_plain_places_are_bare_but_their_floor_shows_motion():
    for seed in range(100):
        scene = make_scene(seed, plain=True)
        assert set(scene.wall_kinds) == ({HILLS} if scene.outdoors else {BLANK})
        assert not np.any(scene.picture_places)
        assert scene.block_table()[:, 4].max() == 0
        assert scene.floor_kind == TILES
        assert np.abs(np.subtract(*scene.floor_colours[:2])).max() > 0.04
        assert make_scene(seed).lamp == scene.lamp


def test_the_four_walls_of_a_room_differ():
    for seed in range(100):
        scene = make_scene(seed)
        if not scene.outdoors:
            assert len({scene.wall_colours[wall] for wall in range(4)}) == 4


def test_colours_and_light_are_in_range():
    for seed in range(300):
        scene = make_scene(seed)
        tables = (scene.floor_colours, scene.wall_colours, scene.mark_colours, scene.sky_colours)
        colours = np.concatenate([np.array(table) for table in tables])
        assert (colours >= 0).all()
        assert (colours <= 1).all()
        assert np.linalg.norm(scene.lamp) == np.float32(1.0) or abs(np.linalg.norm(scene.lamp) - 1) < 1e-6
        # a level floor in full light shows its own colour
        brightest = max(scene.sky_light) + scene.lamp_light * scene.lamp[2]
        assert abs(brightest - 1) < 1e-3
        assert scene.lamp[2] > 0.7


def _beside(scene: Scene) -> bool:
    """Whether all blocks stand between the free floor and the walls."""
    table, clear, wall = scene.block_table(), scene.clear_m, scene.clear_m + scene.margin_m
    spans = table[:, :4].reshape(NUM_BLOCKS, 2, 2)
    nearest = np.where((spans[..., 0] < 0) & (spans[..., 1] > 0), 0, np.abs(spans).min(axis=-1)).max(axis=-1)
    across = np.array([spans[i, block.side // 2] for i, block in enumerate(scene.blocks)])
    return bool((nearest >= clear - 1e-5).all() and (np.abs(across) <= wall + 1e-5).all())


def test_blocks_stand_beside_the_free_floor_however_wide_it_is():
    for seed in range(200):
        scene = make_scene(seed)
        assert _beside(scene)
        wide = scene.widened(20.0)
        assert wide.clear_m > 20
        assert _beside(wide)
        assert wide.widened(3.0) == wide
