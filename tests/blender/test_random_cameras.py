"""Random cameras, every freedom at once, against both of Blender's own projections: to a tenth of a pixel."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.blender

MOST_PX = 0.1


def draw_camera(blender, scene, camera, rng, whole):
    """Turn every knob that moves a point in the picture; `whole` for sides of whole pixels."""
    lens, render = camera.data, scene.render
    lens.sensor_fit = str(rng.choice(["AUTO", "HORIZONTAL", "VERTICAL"]))
    lens.sensor_width, lens.sensor_height = rng.uniform(10, 70, 2)
    lens.lens = rng.uniform(12, 135)
    lens.shift_x, lens.shift_y = rng.uniform(-0.4, 0.4, 2)
    render.resolution_x, render.resolution_y = (int(side) for side in rng.integers(64, 2049, 2))
    render.resolution_percentage = int(rng.integers(25, 101))
    if whole:
        render.resolution_x, render.resolution_y = (int(side) * 4 for side in rng.integers(16, 513, 2))
        render.resolution_percentage = int(rng.choice([25, 50, 75, 100]))
    render.pixel_aspect_x, render.pixel_aspect_y = rng.choice([1.0, 1.0, 1.5, 0.9, 2.0], 2)
    scene.unit_settings.scale_length = float(rng.choice([1.0, 0.01, 0.3048, 10.0]))
    parent = None
    for number in range(rng.integers(0, 4)):
        joint = blender.data.objects.new(f"Joint {number}", None)
        scene.collection.objects.link(joint)
        joint.parent = parent
        joint.location, joint.rotation_euler = rng.uniform(-3, 3, 3), rng.uniform(-3, 3, 3)
        # The same along all axes: anything else would shear the view, and is refused.
        joint.scale = [rng.uniform(0.2, 5)] * 3
        parent = joint
    camera.parent = parent
    camera.location, camera.rotation_euler = rng.uniform(-5, 5, 3), rng.uniform(-3, 3, 3)
    camera.scale = [rng.uniform(0.5, 2)] * 3


def points_in_view(camera, lens_pixels, size, rng):
    """World points all over the picture, near and far; `lens_pixels` are intrinsics."""
    pixels = np.column_stack([rng.uniform(0, 1, (25, 2)) * size, np.ones(25)])
    rays = pixels @ np.linalg.inv(lens_pixels).T * rng.uniform(0.5, 50, (25, 1)) * [1.0, -1.0, -1.0]
    world = np.array(camera.matrix_world.normalized())
    return rays @ world[:3, :3].T + world[:3, 3]


@pytest.mark.parametrize("seed", range(60))
def test_points_land_where_blender_puts_them(blender, scene, add_camera, addon, seed):
    from bpy_extras.object_utils import world_to_camera_view
    from mathutils import Vector

    rng = np.random.default_rng(seed)
    camera = add_camera()
    whole = seed % 2 == 0
    draw_camera(blender, scene, camera, rng, whole)
    scene.frame_end = scene.frame_start
    blender.context.view_layer.update()

    path = addon("scene_camera").sample_camera(scene, camera)

    size = np.array([path.width, path.height])
    points = points_in_view(camera, path.intrinsics[0], size, rng)
    metres = scene.unit_settings.scale_length
    camera_from_world = np.linalg.inv(path.world_from_camera[0])
    seen = (np.column_stack([points * metres, np.ones(len(points))]) @ camera_from_world.T)[:, :3]
    assert (seen[:, 2] > 0).all()
    projected = seen @ path.intrinsics[0].T
    ours = projected[:, :2] / projected[:, 2:]

    render = scene.render
    sides = [side * render.resolution_percentage for side in (render.resolution_x, render.resolution_y)]
    if whole:
        # Of a side that is no whole number of pixels a render leaves the rest out; this function does not.
        views = [world_to_camera_view(scene, camera, Vector(point)) for point in points]
        by_view = np.array([(view.x, 1 - view.y) for view in views]) * size
        np.testing.assert_allclose(ours, by_view, atol=MOST_PX)
    matrix = camera.calc_matrix_camera(
        blender.context.evaluated_depsgraph_get(),
        x=sides[0] // 100,
        y=sides[1] // 100,
        scale_x=render.pixel_aspect_x,
        scale_y=render.pixel_aspect_y,
    )
    from_world = np.array(camera.matrix_world.normalized().inverted())
    clip = np.column_stack([points, np.ones(len(points))]) @ (np.array(matrix) @ from_world).T
    by_matrix = (clip[:, :2] / clip[:, 3:] * [0.5, -0.5] + 0.5) * size
    np.testing.assert_allclose(ours, by_matrix, atol=MOST_PX)
