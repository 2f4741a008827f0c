"""The inner side of filming a .blend as training data, in this Blender: cameras, actions, joints, masks."""

from __future__ import annotations

import importlib
import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.blender

ROOT = Path(__file__).resolve().parents[2]
INSIDE = ROOT / "training" / "threedimo_training" / "blender_scenes"
BUILD_SCENE = ROOT / "tests" / "training" / "blender_scenes" / "programs" / "build_scene.py"
JOINTS = ["pelvis", "left_wrist", "right_knee", "left_index1", "head", "nowhere"]
BONES = {
    "pelvis": "mixamorig:Hips",
    "left_wrist": "mixamorig:LeftHand",
    "right_knee": "mixamorig:RightLeg",
    "left_index1": "mixamorig:LeftHandIndex1",
    "head": "mixamorig:Head",
}


@pytest.fixture(scope="session")
def cast(tmp_path_factory):
    """A file with two people, saved by this Blender."""
    file = tmp_path_factory.mktemp("cast") / "cast.blend"
    subprocess.run(
        [sys.executable, str(BUILD_SCENE), str(file)], check=True, capture_output=True, timeout=120
    )
    return file


@pytest.fixture
def inside(blender, cast, monkeypatch):
    """Give a module of the inner side by its name; the cast is open."""
    monkeypatch.syspath_prepend(INSIDE)
    blender.ops.wm.open_mainfile(filepath=str(cast), load_ui=False, use_scripts=False)
    yield lambda name: importlib.import_module(name)
    blender.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)


def run_inside(blend: Path, *requests: tuple[Path, Path]) -> subprocess.CompletedProcess[str]:
    """Run the inner side as the outer side does."""
    lines = "".join(json.dumps([str(plan), str(folder)]) + "\n" for plan, folder in requests)
    command = [sys.executable, str(INSIDE / "inside_blender.py"), str(blend)]
    return subprocess.run(command, input=lines, capture_output=True, text=True, timeout=300)


def camera_before(point, distance: float, yaw_deg: float, roll_deg: float = 0.0) -> np.ndarray:
    """World from an OpenCV camera that looks at a point of the world, level but for its roll."""
    yaw, roll = math.radians(yaw_deg), math.radians(roll_deg)
    forward = np.array([-math.sin(yaw), math.cos(yaw), 0.0])
    right, down = np.array([math.cos(yaw), math.sin(yaw), 0.0]), np.array([0.0, 0.0, -1.0])
    pose = np.eye(4)
    pose[:3, 0] = math.cos(roll) * right + math.sin(roll) * down
    pose[:3, 1] = math.cos(roll) * down - math.sin(roll) * right
    pose[:3, 2] = forward
    pose[:3, 3] = np.asarray(point) - distance * forward
    return pose


def lens(focal_x: float, focal_y: float, centre: tuple[float, float]) -> np.ndarray:
    return np.array([[focal_x, 0.0, centre[0]], [0.0, focal_y, centre[1]], [0.0, 0.0, 1.0]])


@pytest.mark.parametrize("metres", [1.0, 0.01])
@pytest.mark.parametrize(
    ("size", "intrinsics"),
    [
        ((64, 64), lens(70.0, 70.0, (32.0, 32.0))),
        ((96, 64), lens(50.0, 50.0, (40.0, 37.0))),
        ((64, 96), lens(220.0, 220.0, (-100.0, 150.0))),
        ((64, 64), lens(90.0, 60.0, (30.0, 35.0))),
        ((64, 64), lens(50.0, 80.0, (34.0, 31.0))),
        ((32, 32), lens(0.7, 0.7, (16.0, 16.0))),
    ],
)
def test_cameras_project_exactly(blender, inside, size, intrinsics, metres):
    from bpy_extras.object_utils import world_to_camera_view
    from mathutils import Vector

    scene = blender.context.scene
    scene.unit_settings.scale_length = metres
    scene.render.resolution_percentage = 37
    studio = inside("inside_film").Studio()
    pose = camera_before((1.0, 2.0, 1.5), 3.0, 40.0, roll_deg=15.0)

    studio.put_camera(pose, intrinsics, *size)

    points = np.array([1.0, 2.0, 1.5]) + np.random.default_rng(0).uniform(-1, 1, (20, 3))
    seen = (points - pose[:3, 3]) @ pose[:3, :3]
    expected = (seen @ intrinsics.T)[:, :2] / seen[:, 2:]
    views = [world_to_camera_view(scene, studio.camera, Vector(point / metres)) for point in points]
    found = np.array([(view.x * size[0], (1 - view.y) * size[1]) for view in views])
    np.testing.assert_allclose(found, expected, atol=2e-3 * max(1.0, intrinsics[0, 0] / 50))
    assert scene.render.resolution_percentage == 100


def test_a_principal_point_beyond_blenders_reach_is_refused(inside):
    studio = inside("inside_film").Studio()
    with pytest.raises(inside("inside_rig").SceneProblem, match="principal point"):
        studio.put_camera(np.eye(4), lens(50.0, 50.0, (-1000.0, 16.0)), 32, 32)


def test_cameras_of_markers_do_not_take_over(blender, inside):
    scene = blender.context.scene
    other = blender.data.objects.new("Other", blender.data.cameras.new("Other"))
    scene.collection.objects.link(other)
    scene.timeline_markers.new("cut", frame=5).camera = other
    studio = inside("inside_film").Studio()
    scene.frame_set(7)
    assert scene.camera == studio.camera


def test_actions_and_who_can_perform_them(blender, inside):
    rig = inside("inside_rig")
    for armature in rig.armatures():
        actions = {
            (action["name"], action["start"], action["end"]) for action in rig.playable_actions(armature)
        }
        assert actions == {("wave", 1, 49), ("squat", 10, 40)}
    manual = blender.data.actions["squat"]
    manual.use_frame_range = True
    manual.frame_start, manual.frame_end = 12, 30
    (found,) = [action for action in rig.playable_actions(armature) if action["name"] == "squat"]
    assert (found["start"], found["end"]) == (12, 30)
    stranger = blender.data.armatures.new("Stranger")
    lonely = blender.data.objects.new("Stranger", stranger)
    blender.context.scene.collection.objects.link(lonely)
    assert rig.playable_actions(lonely) == []


def test_what_belongs_to_whom(inside):
    rig = inside("inside_rig")
    anna, bert = rig.armatures()
    assert [item.name for item in rig.bound_objects(anna)] == ["Anna body"]
    assert {item.name for item in rig.bound_objects(bert)} == {"Bert body", "Bert hat"}
    assert rig.surroundings() == []


def test_an_action_plays_alike_whatever_was_played_before(blender, inside):
    performer = inside("inside_rig").Performer("Anna", BONES)
    scene = blender.context.scene

    def joints(action: str, frame: int) -> np.ndarray:
        performer.play(action)
        scene.frame_set(frame)
        return performer.joints(JOINTS, 1.0)

    squat = joints("squat", 25)
    wave = joints("wave", 25)
    np.testing.assert_array_equal(joints("squat", 25), squat)
    np.testing.assert_array_equal(joints("wave", 25), wave)
    assert np.isnan(squat[JOINTS.index("nowhere")]).all()
    # the squat's bent knee is not keyed by the wave
    assert wave[2, 2] == pytest.approx(0.5, abs=1e-4)
    assert squat[0, 2] < wave[0, 2] - 0.3
    still = joints("", 40)
    np.testing.assert_array_equal(joints("", 3), still)


def test_nla_tracks_and_tweaking_do_not_interfere(blender, inside):
    performer = inside("inside_rig").Performer("Anna", BONES)
    performer.play("wave")
    blender.context.scene.frame_set(13)
    alone = performer.joints(JOINTS, 1.0)
    data = performer.armature.animation_data
    track = data.nla_tracks.new()
    track.strips.new("squat", 1, blender.data.actions["squat"])
    data.use_nla = True
    performer.play("wave")
    blender.context.scene.frame_set(13)
    np.testing.assert_array_equal(performer.joints(JOINTS, 1.0), alone)


def test_settings_of_bones_return(blender, inside):
    bone = blender.data.objects["Anna"].pose.bones["mixamorig:Hips"]
    bone["ik"] = 0.25
    performer = inside("inside_rig").Performer("Anna", BONES)
    bone["ik"] = 1.0
    performer.play("wave")
    assert bone["ik"] == 0.25


def test_outline_holds_the_body(blender, inside):
    rig = inside("inside_rig")
    performer = rig.Performer("Bert", BONES)
    performer.play("wave")
    blender.context.scene.frame_set(30)
    outline = performer.outline(1.0)
    assert outline.shape == (26, 3)
    joints = performer.joints(JOINTS, 1.0)[:-1]
    assert (joints > outline.min(axis=0)).all()
    assert (joints < outline.max(axis=0)).all()
    # the hat is higher than the head's bone by far
    assert outline[:, 2].max() > joints[:, 2].max() + 0.2


def test_plans_are_done_and_what_is_written_fits(cast, tmp_path):
    people = {"Anna": BONES, "Bert": BONES}
    frames = [12.5, 25.0]
    takes = [{"character": name, "action": "squat", "scene_frames": frames} for name in people]
    shared = {"people": people, "joint_names": JOINTS}
    room = {"origin": [4.0, -1.0, 0.2], "half": 6.0, "colours": [[0.5, 0.5, 0.5]] * 8, "tiles": 3}
    shots = [
        {**take, "size": [48, 40], "room": room, "hand_slack_m": 0.1, "hand_crop_size": 32}
        for take in takes[1:]
    ]
    film = {
        "task": "film",
        "engine": "workbench",
        "mask_samples": 4,
        "hand_joints": [[1, 3], [2]],
        "hand_seen_share": 0.3,
        "shots": shots,
    }
    pose = camera_before((4.0, -1.0, 1.0), 4.0, 0.0)
    boxes = np.full((2, 2, 4), np.nan)
    boxes[:, 0] = (28.0, 10.0, 40.0, 22.0)
    requests = []
    for plan in (
        {"task": "inspect", **shared},
        {"task": "measure", "takes": takes, **shared},
        {**film, **shared},
    ):
        file = tmp_path / f"{plan['task']}.json"
        file.write_text(json.dumps(plan))
        requests.append((file, tmp_path))
    np.savez(
        tmp_path / "film.npz",
        **{
            "0_world_from_camera": np.repeat(pose[None], 2, axis=0),
            "0_intrinsics": np.repeat(lens(48.0, 48.0, (24.0, 20.0))[None], 2, axis=0),
            "0_hand_boxes": boxes,
        },
    )

    done = run_inside(cast, *requests)

    assert done.returncode == 0, done.stdout + done.stderr
    events = [
        json.loads(line.split("@threedimo ")[1])["event"]
        for line in done.stdout.splitlines()
        if "@threedimo" in line
    ]
    assert events == ["done", *["frame"] * 4, "done", *["frame"] * 2, "done"]
    found = json.loads((tmp_path / "result.json").read_text())
    assert [entry["armature"] for entry in found["characters"]] == ["Anna", "Bert"]
    assert not found["has_surroundings"]
    measured = [np.load(tmp_path / f"take-{number}.npz")["joints"] for number in range(2)]
    labels = np.load(tmp_path / "shot-0" / "labels.npz")
    np.testing.assert_array_equal(labels["joints"], measured[1])
    assert {file.name for file in (tmp_path / "shot-0").iterdir()} >= {
        *(f"frame-{index}.png" for index in range(2)),
        *(f"mask-{index}.png" for index in range(2)),
        "labels.npz",
    }


def test_silhouettes_have_the_size_of_the_body(blender, inside, tmp_path):
    rig = inside("inside_rig")
    studio = inside("inside_film").Studio()
    studio.choose_engine("workbench")
    mesh = blender.data.meshes.new("Square")
    mesh.from_pydata([(-1, 0, -1), (1, 0, -1), (1, 0, 1), (-1, 0, 1)], [], [(0, 1, 2, 3)])
    square = blender.data.objects.new("Square", mesh)
    blender.context.scene.collection.objects.link(square)
    for item in rig.bound_objects(blender.data.objects["Anna"]) + rig.bound_objects(
        blender.data.objects["Bert"]
    ):
        item.hide_render = True
    square.color = (0.2, 0.3, 0.4, 0.5)
    # two metres at four metres' distance are 32 of 64 pixels
    studio.put_camera(camera_before((0.0, 0.0, 0.0), 4.0, 0.0), lens(64.0, 64.0, (32.0, 24.0)), 64, 64)

    studio.shoot_silhouette(tmp_path / "mask.png", [square], 4)

    image = blender.data.images.load(str(tmp_path / "mask.png"))
    assert tuple(image.size) == (256, 256)
    white = np.array(image.pixels[:]).reshape(256, 256, 4)[::-1, :, 0] > 0.5
    rows, columns = np.nonzero(white)
    assert (columns.min(), columns.max() + 1, rows.min(), rows.max() + 1) == (64, 192, 32, 160)
    assert white.sum() == 128 * 128
    np.testing.assert_allclose(square.color, (0.2, 0.3, 0.4, 0.5), atol=1e-6)
    assert blender.context.scene.display.shading.color_type == "TEXTURE"


def test_what_hides_a_point(blender, inside):
    studio = inside("inside_film").Studio()
    mesh = blender.data.meshes.new("Wall")
    mesh.from_pydata([(-1, 0, 3), (1, 0, 3), (1, 0, 5), (-1, 0, 5)], [], [(0, 1, 2, 3)])
    wall = blender.data.objects.new("Wall", mesh)
    blender.context.scene.collection.objects.link(wall)
    studio.put_camera(camera_before((0.0, 0.0, 4.0), 4.0, 0.0), lens(64.0, 64.0, (32.0, 32.0)), 64, 64)
    before, beneath, behind = (0.0, -1.0, 4.0), (0.1, 0.04, 4.0), (0.0, 1.0, 4.0)
    assert studio.seen_share(np.array([before, beneath, behind]), 0.1) == pytest.approx(2 / 3)
    wall.hide_render = wall.hide_viewport = True
    assert studio.seen_share(np.array([behind]), 0.1) == 1.0


def test_a_file_that_blender_cannot_open(tmp_path):
    file = tmp_path / "text.blend"
    file.write_bytes(b"no blend at all")
    done = run_inside(file)
    assert done.returncode == 3
    (problem,) = [
        json.loads(line.split("@threedimo ")[1]) for line in done.stdout.splitlines() if "@threedimo" in line
    ]
    assert problem["problem"] == "Blender cannot open the file"
    assert "Blender" in problem["given"]


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs a file system without any room")
def test_a_full_disk_is_told_apart(inside):
    studio = inside("inside_film").Studio()
    studio.choose_engine("workbench")
    studio.put_camera(camera_before((0.0, 0.0, 1.0), 4.0, 0.0), lens(16.0, 16.0, (8.0, 8.0)), 16, 16)
    with pytest.raises(OSError, match="the disk is full"):
        studio.shoot(Path("/proc/picture.png"))
