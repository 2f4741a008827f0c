"""Real films of a small .blend: labels against pictures, repeatability, and files that cannot be filmed."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from threedimo.camera import MOVES, CameraPath, View, describe
from threedimo.errors import InvalidScene
from threedimo_training.blender_scenes.drawing import draw_blender_sample
from threedimo_training.blender_scenes.renderer import BlenderScene, open_scene
from threedimo_training.blender_scenes.shots import FilmOptions
from threedimo_training.blender_scenes.staging import projected
from threedimo_training.motion.held_out import is_held_out
from threedimo_training.motion.skeleton import JOINT, JOINT_NAMES
from threedimo_training.samples.hands import HAND_CROP_SIZE
from threedimo_training.samples.sample import ROLES, FilmedClip, Sample
from threedimo_training.shards.reader import open_shard
from threedimo_training.shards.render_options import RenderOptions
from threedimo_training.shards.shard_task import ShardTask

pytestmark = pytest.mark.blender

# Ten frames a second of a scene of 24: most frames lie between the scene's own.
OPTIONS = FilmOptions(size=96, num_frames=5, fps=10.0)


@pytest.fixture(scope="module")
def scene(build: Callable[..., Path], blender_python: Path) -> Iterator[BlenderScene]:
    with open_scene(build(), blender_python) as opened:
        yield opened


@pytest.fixture(scope="module")
def samples(scene: BlenderScene) -> list[Sample]:
    return [scene.sample((5, index), replace(OPTIONS, roles=(ROLES[index % 3],))) for index in range(6)]


@pytest.fixture(scope="module")
def alone(build: Callable[..., Path], blender_python: Path) -> Iterator[BlenderScene]:
    """A file with Anna alone."""
    with open_scene(build("one-person"), blender_python) as opened:
        yield opened


def clips(samples: list[Sample]) -> list[FilmedClip]:
    return [clip for sample in samples for clip in (sample.driving, sample.target)]


def near(mask: np.ndarray, pixels: int) -> np.ndarray:
    """(F, H, W) masks grown by so many pixels."""
    grown = mask.copy()
    for y in range(-pixels, pixels + 1):
        for x in range(-pixels, pixels + 1):
            shifted = np.roll(mask, (y, x), (1, 2))
            grown |= shifted
    return grown


def coloured(frames: np.ndarray) -> np.ndarray:
    """(F, H, W) bool: the people's paints are strong, the surroundings of the variant "room" are grey."""
    strongest, weakest = frames.max(axis=-1).astype(float), frames.min(axis=-1)
    return strongest - weakest > 0.25 * np.maximum(strongest, 1)


def test_the_cast_was_understood(scene):
    people = scene.inspection.characters
    assert list(people) == ["Anna", "Bert"]
    for person in people.values():
        assert person.bone_map.scheme == "Mixamo"
        assert person.bone_map.unmapped == ()
        assert {(a.name, a.start, a.end) for a in person.actions.values()} == {
            ("wave", 1, 49),
            ("squat", 10, 40),
        }
    assert not scene.inspection.has_surroundings
    assert scene.inspection.fps == 24


def test_shapes_and_names(samples):
    for index, sample in enumerate(samples):
        assert sample.role == ROLES[index % 3]
        assert sample.sample_id == f"blender-cast-000005-{index:06d}"
        assert (sample.source, sample.seed, sample.fps) == ("blender", 5, 10.0)
        assert {sample.driving.person_id, sample.target.person_id} == {"cast:Anna", "cast:Bert"}
        assert sample.hand_crops is not None
        assert sample.hand_crops.shape == (5, 2, HAND_CROP_SIZE, HAND_CROP_SIZE, 3)
        kind, stem, action, _ = sample.motion_id.split(":")
        assert (kind, stem) == ("blender", "cast")
        names = [("identity", sample.driving.person_id), ("identity", sample.target.person_id)]
        assert sample.held_out == any(is_held_out(*name) for name in [*names, ("motion", f"cast:{action}")])
    for clip in clips(samples):
        assert clip.frames.shape == (5, 96, 96, 3)
        assert clip.frames.dtype == np.uint8
        assert clip.silhouette is not None
        assert clip.silhouette.shape == (5, 96, 96)
        assert clip.joints_world is not None
        assert clip.joints_world.shape == (5, len(JOINT_NAMES), 3)
        assert np.isfinite(clip.joints_world).all()
        assert clip.hand_boxes is not None
        assert clip.hand_boxes.shape == (5, 2, 4)
        assert clip.smpl_pose is None
        assert clip.mano_pose is None


def test_joints_lie_inside_the_silhouette(samples):
    inside = []
    for clip in clips(samples):
        pixels, depth = projected(clip.joints_world.astype(float), clip.path)
        grown = near(clip.silhouette, 3)
        for frame, joint in np.argwhere((depth > 0) & ((pixels >= 0) & (pixels < 96)).all(axis=-1)):
            x, y = pixels[frame, joint].astype(int)
            inside.append(grown[frame, y, x])
    assert len(inside) > 2000
    assert np.mean(inside) >= 0.97


def test_silhouettes_agree_with_the_pixels(build, blender_python):
    with open_scene(build("room"), blender_python) as scene:
        assert scene.inspection.has_surroundings
        for index in range(3):
            for clip in clips([scene.sample((1, index), OPTIONS)]):
                seen, silhouette = coloured(clip.frames), clip.silhouette
                assert 0.02 < silhouette.mean() < 0.6
                border = near(silhouette, 1) & near(~silhouette, 1)
                assert (seen == silhouette)[~border].mean() > 0.995
                assert (seen & silhouette).sum() / (seen | silhouette).sum() > 0.8


def test_texts_describe_the_paths(samples):
    for sample in samples:
        for clip in (sample.driving, sample.target):
            assert clip.text == describe(clip.path)
        assert sample.target.text.endswith("camera remains static.") == (sample.role != "moving_camera")
        same = np.array_equal(sample.driving.path.world_from_camera, sample.target.path.world_from_camera)
        assert same == (sample.role == "same_view")


def test_driver_and_target_perform_the_same_frames(samples):
    arm = [JOINT["left_shoulder"], JOINT["left_elbow"]]
    for sample in samples:
        driving, target = (
            np.diff(clip.joints_world[:, arm], axis=1)[:, 0] for clip in (sample.driving, sample.target)
        )
        lengths = [np.linalg.norm(bone, axis=-1).mean() for bone in (driving, target)]
        # Bert is 1.15 times as large as Anna; the directions are the action's
        assert max(lengths) / min(lengths) == pytest.approx(1.15, abs=1e-4)
        np.testing.assert_allclose(driving / lengths[0], target / lengths[1], atol=1e-4)


def test_bones_stretch_as_the_file_says(scene, samples):
    for clip in clips(samples):
        size = 1.15 if clip.person_id == "cast:Bert" else 1.0
        for one, other, length in (("left_hip", "left_knee", 0.43), ("right_elbow", "right_wrist", 0.25)):
            bone = clip.joints_world[:, JOINT[one]] - clip.joints_world[:, JOINT[other]]
            np.testing.assert_allclose(np.linalg.norm(bone, axis=-1), length * size, atol=1e-4)


def test_people_stand_on_the_floor_under_the_world(samples):
    for clip in clips(samples):
        lowest = clip.joints_world[..., 2].min()
        assert 0 < lowest < 0.15
        assert np.abs(clip.joints_world[0, JOINT["pelvis"], :2]).max() < 0.1


def test_hands_have_boxes_and_pictures(samples):
    shown = 0
    for sample in samples:
        clip = sample.driving
        pixels, _ = projected(clip.joints_world.astype(float), clip.path)
        for frame, hand in np.argwhere(np.isfinite(clip.hand_boxes[..., 0])):
            box = clip.hand_boxes[frame, hand]
            knuckle = pixels[frame, JOINT[("left_middle1", "right_middle1")[hand]]]
            assert (box[:2] < knuckle).all()
            assert (knuckle < box[2:]).all()
            assert coloured(sample.hand_crops[frame, hand][None]).any()
            shown += 1
        unseen = np.isnan(clip.hand_boxes[..., 0])
        assert (sample.hand_crops[unseen] == 0).all()
    assert shown > 20


def test_a_hand_behind_the_body_is_not_seen(scene):
    options = replace(OPTIONS, num_frames=1, roles=("cross_view",))
    views = [scene.sample((9, index), options).driving for index in range(12)]
    for view in views:
        pixels, _ = projected(view.joints_world.astype(float), view.path)
        wrists = pixels[0, [JOINT["left_wrist"], JOINT["right_wrist"]]]
        inside = ((wrists > 5) & (wrists < 91)).all(axis=-1)
        assert not np.isfinite(view.hand_boxes[0, ~inside & (np.abs(wrists - 48) > 60).any(axis=-1), 0]).any()
    seen = np.array([np.isfinite(view.hand_boxes[0, :, 0]) for view in views])
    assert seen.any()
    assert not seen.all()


def test_a_key_is_one_sample_in_any_order(scene, samples, build, blender_python):
    with open_scene(build(), blender_python) as fresh:
        again = fresh.sample((5, 2), replace(OPTIONS, roles=(ROLES[2],)))
    for one, other in zip(clips([samples[2]]), clips([again]), strict=True):
        for field in fields(FilmedClip):
            if field.name != "path":
                np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name))
        np.testing.assert_array_equal(one.path.world_from_camera, other.path.world_from_camera)
    np.testing.assert_array_equal(samples[2].hand_crops, again.hand_crops)
    assert samples[2].motion_id == again.motion_id
    assert not np.array_equal(samples[2].target.frames, samples[5].target.frames)


def test_one_person_drives_and_is_the_target(alone):
    sample = alone.sample((0, 1), replace(OPTIONS, roles=("cross_view",)))
    assert sample.driving.person_id == sample.target.person_id
    np.testing.assert_array_equal(sample.driving.joints_world, sample.target.joints_world)
    assert not np.array_equal(sample.driving.path.world_from_camera, sample.target.path.world_from_camera)
    assert not np.array_equal(sample.driving.frames, sample.target.frames)


def test_units_of_centimetres_change_nothing(build, blender_python, scene):
    options = replace(OPTIONS, num_frames=2, roles=("cross_view",))
    with open_scene(build("centimetres"), blender_python) as small_units:
        centimetres = small_units.sample((5, 1), options)
    metres = scene.sample((5, 1), options)
    for one, other in zip(clips([metres]), clips([centimetres]), strict=True):
        np.testing.assert_allclose(one.joints_world, other.joints_world, atol=1e-4)
        np.testing.assert_allclose(one.path.world_from_camera, other.path.world_from_camera, atol=1e-3)
        assert (one.silhouette == other.silhouette).mean() > 0.998
        assert np.abs(one.frames.astype(int) - other.frames).mean() < 1.5


def test_given_cameras_film_in_the_scenes_own_coordinates(alone):
    # the picture is wider than high, its pixels are not square and its lens is off the middle
    view = View.around((0.4, 0.3, 1.0), 30.0, 10.0, 3.5, width=320, height=200)
    path = MOVES["arc_right"](view, 10, 10.0)
    intrinsics = path.intrinsics.copy()
    intrinsics[:, 0, 0] *= 1.3
    intrinsics[:, 1, 2] += 9.0
    camera = CameraPath(path.world_from_camera, intrinsics, 320, 200, 10.0)
    sample = alone.sample((2, 0), replace(OPTIONS, camera=camera))
    away = View.around((90.0, 0.0, 1.0), 0.0, 0.0, 3.0, width=64, height=64)
    with pytest.raises(InvalidScene, match=r"does not see Anna"):
        alone.sample((2, 0), replace(OPTIONS, camera=MOVES["static"](away, 5, 10.0)))
    clip = sample.target
    assert sample.role == "moving_camera"
    np.testing.assert_allclose(clip.path.world_from_camera, path.world_from_camera[:5], atol=1e-9)
    np.testing.assert_allclose(clip.joints_world[0, JOINT["pelvis"], :2], (0.4, 0.3), atol=0.1)
    assert "arcs right" in clip.text
    pixels, _ = projected(clip.joints_world.astype(float), clip.path)
    grown = near(clip.silhouette, 1)
    visible = ((pixels >= 0) & (pixels < 96)).all(axis=-1)
    x, y = pixels[visible].astype(int).T
    assert visible.mean() > 0.8
    assert grown[np.nonzero(visible)[0], y, x].mean() >= 0.97


def test_shards_of_a_blend(build, blender_python, tmp_path):
    draw = functools.partial(draw_blender_sample, blend=str(build()), blender=str(blender_python))
    held_out = bool(is_held_out("identity", "cast:Anna") or is_held_out("identity", "cast:Bert"))
    options = RenderOptions(64, 2, 8.0, ROLES, held_out)
    counted = []
    ShardTask(tmp_path, 3, 0, 3, options, draw).run(lambda: counted.append(1))
    (file,) = tmp_path.glob("*.tar")
    read = list(open_shard(file))
    assert [sample.role for sample in read] == list(ROLES)
    assert len(counted) == 3
    assert all(sample.source == "blender" and sample.held_out == held_out for sample in read)
    assert np.isfinite(read[0].target.joints_world).all()


@pytest.mark.parametrize(
    ("variant", "said"),
    [
        ("no-armature", r"no-armature\.blend has no armature.*rigged character"),
        ("no-mesh", r"no-mesh\.blend has no rendered mesh that an armature moves.*Anna, Bert.*bind"),
        ("odd-names", r"Anna has none for left_hip.*bones qwertz.*Mixamo.*rename the bones"),
    ],
)
def test_files_without_a_person(build, blender_python, variant, said):
    with pytest.raises(InvalidScene, match=said):
        open_scene(build(variant), blender_python)


def test_a_file_without_an_action(build, blender_python):
    with open_scene(build("one-person", "no-action"), blender_python) as scene:
        with pytest.raises(InvalidScene, match=r"no action that moves the bones of Anna.*still poses"):
            scene.sample((0, 0), OPTIONS)
        sample = scene.sample((0, 0), replace(OPTIONS, still=True, num_frames=2))
    assert sample.motion_id.startswith("blender:cast-no-action-one-person:still")
    joints = sample.target.joints_world
    np.testing.assert_array_equal(joints[0], joints[1])
    assert sample.target.silhouette.any()


def test_damaged_files(build, blender_python, tmp_path):
    for name, content in (("empty", b""), ("text", b"hello" * 100), ("half", build().read_bytes()[:200_000])):
        file = tmp_path / f"{name}.blend"
        file.write_bytes(content)
        with pytest.raises(
            InvalidScene, match=rf"{name}\.blend: Blender cannot open the file.*as new as the file"
        ):
            open_scene(file, blender_python)


def test_scripts_of_a_file_are_not_run(build, blender_python, tmp_path):
    file = build("script", "one-person")
    with open_scene(file, blender_python) as scene:
        scene.sample((0, 0), replace(OPTIONS, num_frames=1, roles=("cross_view",)))
    assert not file.with_name(f"{file.name}.ran").exists()


def test_missing_textures_and_sizes_are_warned_of(build, blender_python, caplog, tmp_path):
    with open_scene(build("one-person", "giant"), blender_python) as scene:
        scene.sample((0, 0), replace(OPTIONS, num_frames=1, roles=("cross_view",)))
        scene.sample((0, 1), replace(OPTIONS, num_frames=1, roles=("cross_view",)))
    said = [record.message for record in caplog.records]
    assert any("lost.png" in message for message in said)
    assert sum("times as large as a grown-up" in message for message in said) == 1
    assert any("1 drivers need Python" in message for message in said)


def test_nothing_is_left_behind(build, blender_python, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with open_scene(build("one-person"), blender_python) as opened:
        opened.sample((0, 0), replace(OPTIONS, num_frames=1, roles=("cross_view",)))
    assert list(tmp_path.iterdir()) == []
