"""Runs inside Blender's Python, never in ours: opens one .blend and does tasks until its input ends.

    blender --background --factory-startup --disable-autoexec --python inside_blender.py -- FILE.blend
    python inside_blender.py FILE.blend          (a Python that has the module bpy)

Each line of standard input names a plan file and a folder for its results, as a JSON list of two. The plan is
JSON, with the cameras beside it in an .npz of the same stem. Its "task" is one of

    inspect  who is in the file: writes FOLDER/result.json
    measure  plays "takes": writes FOLDER/take-<number>.npz, joints (F, J, 3) and outline (F, 26, 3), metres
    film     plays and renders "shots": writes FOLDER/shot-<number>/ with frame-, mask- and hand- pictures
             and labels.npz (joints, hand_seen)

The file is opened with its scripts switched off. Standard output carries lines of "@threedimo " and JSON: an
event "frame" after each frame, so that the outer side knows that work goes on, "done" after each task, and
"problem" where the file cannot be used, followed by the exit status 3 (4: the disk is full).
"""

# pyright: reportMissingImports=false

from __future__ import annotations

import errno
import json
import math
import os
import shutil
import sys
import traceback
from pathlib import Path

import bpy
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

from inside_film import Studio
from inside_rig import Performer, SceneProblem, armatures, bound_objects, playable_actions, surroundings

MARK = "@threedimo "
SCENE_PROBLEM, NO_SPACE = 3, 4
OLDEST = (4, 2, 0)


def tell(**fact: object) -> None:
    """Say something to the outer side."""
    sys.stdout.write(f"\n{MARK}{json.dumps(fact)}\n")
    sys.stdout.flush()


def open_file(blend: str) -> None:
    """Open the .blend without running anything that is written in it."""
    if bpy.app.version < OLDEST:
        raise SceneProblem(
            "this Blender is too old",
            given=bpy.app.version_string,
            allowed=".".join(map(str, OLDEST[:2])) + " and newer",
        )
    # The user's own settings and add-ons would change what is rendered.
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.context.preferences.filepaths.use_scripts_auto_execute = False
    try:
        bpy.ops.wm.open_mainfile(filepath=blend, load_ui=False, use_scripts=False)
    except RuntimeError as error:
        raise SceneProblem(
            "Blender cannot open the file",
            given=f"Blender {bpy.app.version_string} says: {str(error).strip()}",
            remedy="save it again with this version of Blender, or name a Blender as new as the file",
        ) from error


def inspect(folder: Path) -> None:
    """List characters, their bones and actions, and what may go wrong."""
    scene = bpy.context.scene
    characters = []
    for armature in armatures():
        bones = [[bone.name, bone.use_deform] for bone in armature.data.bones]
        meshes = [item.name for item in bound_objects(armature) if item.type == "MESH"]
        actions = playable_actions(armature)
        characters.append({"armature": armature.name, "bones": bones, "meshes": meshes, "actions": actions})
    result = {
        "fps": scene.render.fps / scene.render.fps_base,
        "saved_frame": scene.frame_current,
        "characters": characters,
        "has_surroundings": bool(surroundings()),
        "warnings": _warnings(),
    }
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")


def _warnings() -> list[str]:
    found = []
    missing = [
        item.filepath for item in bpy.data.libraries if not Path(bpy.path.abspath(item.filepath)).is_file()
    ]
    missing += [
        image.filepath
        for image in bpy.data.images
        if image.source == "FILE"
        and not image.packed_file
        and not Path(bpy.path.abspath(image.filepath, library=image.library)).is_file()
    ]
    if missing:
        found.append(f"files that it refers to are missing: {', '.join(missing)}")
    scripted = 0
    for item in bpy.context.view_layer.objects:
        for holder in (item, item.data):
            data = getattr(holder, "animation_data", None)
            curves = [curve.driver for curve in data.drivers] if data else []
            scripted += sum(
                driver.type == "SCRIPTED" and not driver.is_simple_expression for driver in curves
            )
    if scripted:
        found.append(f"{scripted} drivers need Python, which stays switched off: what they move stays still")
    return found


def _go_to(scene: bpy.types.Scene, scene_frame: float) -> None:
    whole = math.floor(scene_frame)
    scene.frame_set(whole, subframe=min(scene_frame - whole, 0.999999))


class Session:
    """An open file with its characters; what is made ready for one task stays so for the next."""

    def __init__(self):
        self._performers: dict[str, Performer] = {}
        self._studio: Studio | None = None

    def do(self, plan_file: Path, folder: Path) -> None:
        """Do the task of a plan."""
        plan = json.loads(plan_file.read_text(encoding="utf-8"))
        for name, bones in plan["people"].items():
            if name not in self._performers:
                self._performers[name] = Performer(name, bones)
        if plan["task"] == "inspect":
            inspect(folder)
        elif plan["task"] == "measure":
            self._measure(plan, folder)
        else:
            with np.load(plan_file.with_suffix(".npz"), allow_pickle=False) as cameras:
                self._film(plan, folder, dict(cameras))

    def _perform(self, character: str, action: str) -> Performer:
        """Let one character play an action alone: Blender does not move what is hidden, either."""
        performer = self._performers[character]
        for other in self._performers.values():
            for item in other.objects:
                item.hide_render = item.hide_viewport = item not in performer.objects
        performer.play(action)
        return performer

    def _measure(self, plan: dict, folder: Path) -> None:
        """Where the joints and the outline of a body are in every frame of some takes."""
        scene = bpy.context.scene
        metres = scene.unit_settings.scale_length
        for number, take in enumerate(plan["takes"]):
            performer = self._perform(take["character"], take["action"])
            joints, outline = [], []
            for scene_frame in take["scene_frames"]:
                _go_to(scene, scene_frame)
                joints.append(performer.joints(plan["joint_names"], metres))
                outline.append(performer.outline(metres))
                tell(event="frame")
            np.savez(folder / f"take-{number}.npz", joints=np.array(joints), outline=np.array(outline))

    def _film(self, plan: dict, folder: Path, cameras: dict[str, np.ndarray]) -> None:
        """Render some shots."""
        if self._studio is None:
            self._studio = Studio()
        self._studio.choose_engine(plan["engine"])
        for number, shot in enumerate(plan["shots"]):
            performer = self._perform(shot["character"], shot["action"])
            self._studio.set_room(shot["room"])
            shot_folder = folder / f"shot-{number}"
            shot_folder.mkdir()
            mine = {
                key: cameras[f"{number}_{key}"] for key in ("world_from_camera", "intrinsics", "hand_boxes")
            }
            _film_shot(self._studio, performer, plan, shot, mine, shot_folder)


def _film_shot(
    studio: Studio, performer: Performer, plan: dict, shot: dict, cameras: dict[str, np.ndarray], folder: Path
) -> None:
    width, height = shot["size"]
    joints, hand_seen = [], []
    for index, scene_frame in enumerate(shot["scene_frames"]):
        _go_to(studio.scene, scene_frame)
        pose, intrinsics = cameras["world_from_camera"][index], cameras["intrinsics"][index]
        studio.put_camera(pose, intrinsics, width, height)
        joints.append(performer.joints(plan["joint_names"], studio.metres))
        studio.shoot(folder / f"frame-{index}.png")
        studio.shoot_silhouette(folder / f"mask-{index}.png", performer.objects, plan["mask_samples"])
        seen = np.zeros(2)
        for hand, box in enumerate(cameras["hand_boxes"][index]):
            if np.isnan(box).any():
                continue
            points = joints[-1][plan["hand_joints"][hand]]
            points = points[~np.isnan(points[:, 0])]
            seen[hand] = studio.seen_share(points, shot["hand_slack_m"])
            if shot["hand_crop_size"] and seen[hand] >= plan["hand_seen_share"]:
                _shoot_hand(
                    studio, pose, intrinsics, box, shot["hand_crop_size"], folder / f"hand-{index}-{hand}.png"
                )
                studio.put_camera(pose, intrinsics, width, height)
        hand_seen.append(seen)
        tell(event="frame")
    np.savez(folder / "labels.npz", joints=np.array(joints), hand_seen=np.array(hand_seen))


def _shoot_hand(
    studio: Studio, pose: np.ndarray, intrinsics: np.ndarray, box: np.ndarray, size: int, file: Path
) -> None:
    """The same camera through a lens that sees the box alone."""
    zoomed = intrinsics.copy()
    zoomed[:2, 2] -= box[:2]
    zoomed[:2] *= size / (box[2] - box[0])
    studio.put_camera(pose, zoomed, size, size)
    studio.shoot(file)


def main(arguments: list[str]) -> int:
    """Open the file and do the tasks of the input; returns the exit status."""
    try:
        open_file(arguments[0])
        session = Session()
        for line in sys.stdin:
            plan_file, folder = json.loads(line)
            session.do(Path(plan_file), Path(folder))
            tell(event="done")
    except SceneProblem as error:
        tell(event="problem", **error.details)
        return SCENE_PROBLEM
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        return NO_SPACE
    return 0


def run() -> None:
    """Run the command and leave at once: Blender's own end is known to crash after the work is done."""
    folders = {bpy.app.tempdir}
    after = sys.argv.index("--") if "--" in sys.argv else 0
    try:
        status = main(sys.argv[after + 1 :])
    except Exception:
        traceback.print_exc()
        status = 1
    # Factory settings bring a temporary folder of their own.
    for folder in folders | {bpy.app.tempdir}:
        shutil.rmtree(folder, ignore_errors=True)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    run()
