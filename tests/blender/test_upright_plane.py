"""The plane that stands upright at the subject: exact through the camera, upright from elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.blender

FRAMES = range(11, 16)
QUADRANTS = ((200, 0, 0), (0, 200, 0), (0, 0, 200), (200, 200, 200))


@pytest.fixture
def camera(blender, scene, add_camera, tmp_path):
    """A camera that pitches down, swings around the subject, rises and zooms, with its lens shifted."""
    blender.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    scene.frame_start, scene.frame_end = FRAMES.start, FRAMES.stop - 1
    scene.render.resolution_x, scene.render.resolution_y = 64, 64
    camera = add_camera(lens=40.0, shift_x=0.1, shift_y=-0.05)
    person = blender.data.objects.new("Person", None)
    person.location = (0.5, 0.25, 1.0)
    scene.collection.objects.link(person)
    scene.threedimo.subject = person
    camera.constraints.new("TRACK_TO").target = person
    for frame, place, lens in ((11, (0.0, -4.0, 2.5), 40.0), (15, (3.0, -3.0, 3.5), 55.0)):
        camera.location, camera.data.lens = place, lens
        camera.keyframe_insert("location", frame=frame)
        camera.data.keyframe_insert("lens", frame=frame)
    return camera


@pytest.fixture
def quadrants(write_picture):
    """Make each frame of a take a picture of four colours, with a bar whose place tells the frame."""
    import struct
    import zlib

    def paint(folder, frame):
        rows = []
        for y in range(64):
            row = [QUADRANTS[2 * (y >= 32) + (x >= 32)] for x in range(64)]
            row[8 * frame + 8 : 8 * frame + 12] = [(0, 0, 0)] * 4
            rows.append(b"\0" + bytes(value for rgb in row for value in rgb))
        parts = [(b"IHDR", struct.pack(">IIBBBBB", 64, 64, 8, 2, 0, 0, 0))]
        parts += [(b"IDAT", zlib.compress(b"".join(rows))), (b"IEND", b"")]
        (folder / f"{frame:05d}.png").write_bytes(
            b"\x89PNG\r\n\x1a\n"
            + b"".join(
                struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
                for kind, data in parts
            )
        )

    return paint


@pytest.fixture
def plane(blender, scene, camera, leave_take, quadrants):
    """The plane of a take, which was placed upright."""
    job = leave_take(camera, scene_frames=FRAMES, num_frames=5)
    for frame in range(5):
        quadrants(job.folder / "result" / "frames", frame)
    blender.ops.threedimo.reattach()
    (shot,) = scene.threedimo.shots
    assert shot.plane is not None, shot.takes[0].message
    assert blender.ops.threedimo.place_plane(shot=0, place="UPRIGHT") == {"FINISHED"}
    return shot.plane


def corners(blender, scene, plane, frame):
    """The plane's points in the world."""
    scene.frame_set(frame)
    evaluated = plane.evaluated_get(blender.context.evaluated_depsgraph_get())
    return np.array([evaluated.matrix_world @ vertex.co for vertex in evaluated.data.vertices])


@pytest.mark.parametrize("engine", ["CYCLES", "BLENDER_WORKBENCH"])
def test_through_the_camera_every_frame_is_the_picture_itself(blender, scene, plane, render, engine):
    upright = [render(frame, engine, (64, 64)) for frame in FRAMES]
    blender.ops.threedimo.place_plane(shot=0, place="SUBJECT")
    fitted = [render(frame, engine, (64, 64)) for frame in FRAMES]

    for frame, (one, other) in enumerate(zip(upright, fitted, strict=True)):
        # Edges may fall to either side of a pixel; anything more would be a wrong place or a wrong frame.
        different = (np.abs(one - other).max(axis=2) > 16).mean()
        assert different < 0.05, f"frame {frame}: {different:.3f} of the pixels"
        edge = np.concatenate([one[0], one[-1], one[:, 0], one[:, -1]])
        assert (edge.max(axis=1) > 100).mean() > 0.9, "it fills the picture"


def test_it_stands_upright_where_the_subject_stands(blender, scene, camera, plane):
    subject = np.array((0.5, 0.25, 1.0))
    for frame in (11, 13, 15):
        points = corners(blender, scene, plane, frame)
        to_camera = (np.array(camera.matrix_world.translation) - subject) * [1.0, 1.0, 0.0]
        to_camera /= np.linalg.norm(to_camera)
        np.testing.assert_allclose((points - subject) @ to_camera, 0.0, atol=1e-4)
        assert points[:, 2].min() < subject[2] < points[:, 2].max()


def test_it_stays_as_it_was_sent_when_the_camera_moves_on(blender, scene, camera, plane):
    before = corners(blender, scene, plane, 13)
    camera.animation_data_clear()
    camera.location = (9.0, 9.0, 9.0)

    np.testing.assert_allclose(corners(blender, scene, plane, 13), before, atol=1e-5)


def test_other_places_take_everything_of_it_away(blender, scene, plane):
    num_meshes, num_actions = len(blender.data.meshes), len(blender.data.actions)

    blender.ops.threedimo.place_plane(shot=0, place="SUBJECT")

    assert len(plane.data.vertices) == 4
    assert plane.data.shape_keys is None
    assert not plane.constraints[0].mute
    assert len(blender.data.meshes) == num_meshes
    # Its own keys of place and size stand for those of the shapes.
    assert len(blender.data.actions) == num_actions
    assert not [each for each in blender.data.actions if not each.users and each.name.startswith("Key")]
    blender.ops.threedimo.place_plane(shot=0, place="UPRIGHT")
    blender.ops.threedimo.place_plane(shot=0, place="UPRIGHT")
    assert len(plane.data.shape_keys.key_blocks) == 5
    blender.ops.threedimo.delete_take(job_id=scene.threedimo.shots[0].takes[0].job_id)
    assert not [mesh for mesh in blender.data.meshes if mesh.name.startswith("3DiMo")]
    assert not [each for each in blender.data.actions if not each.users and each.name.startswith("Key")]


def test_still_camera_needs_one_shape(blender, scene, camera, leave_take):
    for item in (camera, camera.data):
        item.animation_data_clear()
    camera.location = (0.0, -4.0, 2.0)
    leave_take(camera, scene_frames=FRAMES, num_frames=5)
    blender.ops.threedimo.place_plane(shot=0, place="UPRIGHT")
    blender.ops.threedimo.reattach()

    plane = scene.threedimo.shots[0].plane
    assert plane.data.shape_keys is None
    assert len(plane.data.vertices) == 17 * 17


def test_units_of_the_scene_are_kept(blender, scene, camera, leave_take):
    scene.unit_settings.scale_length = 0.01
    leave_take(camera, scene_frames=FRAMES, num_frames=5)
    blender.ops.threedimo.place_plane(shot=0, place="UPRIGHT")
    blender.ops.threedimo.reattach()

    points = corners(blender, scene, scene.threedimo.shots[0].plane, 11)
    assert np.linalg.norm(points.mean(axis=0) - (0.5, 0.25, 1.0)) < 1.0


def test_camera_that_looks_straight_down_is_refused_and_nothing_changes(blender, scene, camera, leave_take):
    for item in (camera, camera.data):
        item.animation_data_clear()
    camera.location = (0.5, 0.3, 6.0)
    leave_take(camera, scene_frames=FRAMES, num_frames=5)
    blender.ops.threedimo.reattach()
    shot = scene.threedimo.shots[0]
    before = shot.plane.location.copy(), shot.plane_place

    with pytest.raises(RuntimeError, match="looks too steeply at the subject"):
        blender.ops.threedimo.place_plane(shot=0, place="UPRIGHT")

    assert (shot.plane.location, shot.plane_place) == before
    assert len(shot.plane.data.vertices) == 4


def test_it_outlives_saving_and_loading(blender, scene, plane, tmp_path):
    before = {frame: corners(blender, scene, plane, frame) for frame in FRAMES}
    blender.ops.wm.save_mainfile()
    blender.ops.wm.open_mainfile(filepath=str(tmp_path / "shot.blend"))

    loaded = blender.context.scene
    (shot,) = loaded.threedimo.shots
    assert shot.plane_place == "UPRIGHT"
    for frame in FRAMES:
        np.testing.assert_allclose(corners(blender, loaded, shot.plane, frame), before[frame], atol=1e-5)


def test_undo_lays_it_down_and_redo_stands_it_up(blender, scene, camera, leave_take):
    leave_take(camera, scene_frames=FRAMES, num_frames=5)
    blender.ops.threedimo.reattach()
    blender.ops.ed.undo_push(message="arrived")
    blender.ops.threedimo.place_plane(shot=0, place="UPRIGHT")
    blender.ops.ed.undo_push(message="placed")

    def state():
        (shot,) = blender.context.scene.threedimo.shots
        return shot.plane_place, len(shot.plane.data.vertices), shot.plane.constraints[0].mute

    assert state() == ("UPRIGHT", 17 * 17, True)
    assert blender.ops.ed.undo() == {"FINISHED"}
    assert state() == ("SUBJECT", 4, False)
    assert blender.ops.ed.redo() == {"FINISHED"}
    assert state() == ("UPRIGHT", 17 * 17, True)
    blender.ops.threedimo.place_plane(shot=0, place="SUBJECT")
    assert state() == ("SUBJECT", 4, False)
