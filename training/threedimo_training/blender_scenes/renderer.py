"""Films the characters of a .blend as view-rich samples: `open_scene(...)` gives what draws them.

Blender runs as a process of its own, once for as many clips as are asked for. A clip depends on its key (some
numbers) and the options alone, so that any part of a data set can be made again, anywhere.

A character is held out by the hash of "<file stem>:<armature>", a motion by that of "<file stem>:<action>"
(`motion.held_out`). SMPL's and MANO's parameters stay unknown: a studio's rig has other proportions and axes,
and its joints' positions are exact as they are.
"""

from __future__ import annotations

import logging
import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from threedimo.errors import InvalidScene
from threedimo_training.blender_scenes.blender_process import SILENCE_S, BlenderSession, find_blender
from threedimo_training.blender_scenes.developing import HAND_SEEN_SHARE, MASK_SAMPLES, develop
from threedimo_training.blender_scenes.inspection import Inspection, inspect
from threedimo_training.blender_scenes.planning import Take, plan_takes
from threedimo_training.blender_scenes.shots import FilmOptions, Shot, draw_shots
from threedimo_training.blender_scenes.staging import HAND_POINTS, Performance
from threedimo_training.motion.skeleton import JOINT_NAMES
from threedimo_training.samples.hands import HAND_CROP_SIZE
from threedimo_training.samples.sample import FilmedClip, Sample

logger = logging.getLogger(__name__)

# Whatever is further before a hand than a hand is wide hides it.
_HAND_SLACK_M = 0.1
_MAX_STEM = 32
# Sizes of people that hint at wrong scene units; 1 is a grown-up.
_USUAL_SCALES = (0.25, 2.5)


class BlenderScene:
    """A .blend that is open in a Blender and can be filmed; close it, or use it as a context.

    Attributes:
        inspection: What is in the file.
    """

    def __init__(self, inspection: Inspection, session: BlenderSession):
        self.inspection = inspection
        self._session = session
        self._warned: set[str] = set()

    def __enter__(self) -> BlenderScene:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End Blender."""
        self._session.close()

    def sample(self, key: tuple[int, ...], options: FilmOptions) -> Sample:
        """Film one sample.

        Args:
            key: Whole numbers from 0 that decide everything, with the options; the first is the seed.
            options: How to film.

        Raises:
            InvalidScene: Nobody performs anything long enough, or a given camera does not see them.
            InvalidCameraPath: A given camera's path is shorter than the clip.
            NoSpace: The disk for temporary files is full.
            DataError: Blender crashed or hangs. The scene is closed then.
        """
        rng = np.random.default_rng(key)
        driving_take, target_take, held_out = plan_takes(
            rng,
            self.inspection,
            options.num_frames,
            options.fps,
            still=options.still,
            held_out=options.held_out,
        )
        with tempfile.TemporaryDirectory(prefix="threedimo-") as scratch:
            folder = Path(scratch)
            driving, target = self._measure((driving_take, target_take), options, folder)
            furnished = self.inspection.has_surroundings
            role, *shots = draw_shots(rng, driving, target, options, furnished=furnished)
            self._film(shots, options, folder)
            (driving_clip, crops), (target_clip, _) = (
                self._develop(folder / f"shot-{number}", shot) for number, shot in enumerate(shots)
            )
        motion = self.inspection.motion_name(target_take.action)
        return Sample(
            sample_id=_sample_id(self.inspection.blend.stem, key),
            role=role,
            driving=driving_clip,
            target=target_clip,
            fps=options.fps,
            motion_id=f"blender:{motion}:{target_take.scene_frames[0]:g}",
            held_out=held_out,
            seed=key[0],
            source="blender",
            hand_crops=crops,
        )

    def _plan(self, task: str, **more: Any) -> dict[str, Any]:
        people = {name: person.bone_map.bones for name, person in self.inspection.characters.items()}
        return {"task": task, "people": people, "joint_names": JOINT_NAMES, **more}

    def _measure(self, takes: tuple[Take, ...], options: FilmOptions, folder: Path) -> list[Performance]:
        """Where everybody is in every frame."""
        self._session.do(self._plan("measure", takes=[vars(take) for take in takes]), folder)
        performances = []
        for number, take in enumerate(takes):
            with np.load(folder / f"take-{number}.npz", allow_pickle=False) as found:
                in_place = options.camera is not None
                measured = Performance.measured(take, found["joints"], found["outline"], in_place=in_place)
            performances.append(measured)
            self._check_size(measured)
        return performances

    def _check_size(self, performance: Performance) -> None:
        name, scale = performance.take.character, performance.scale
        if not _USUAL_SCALES[0] < scale < _USUAL_SCALES[1] and name not in self._warned:
            self._warned.add(name)
            logger.warning(
                "%s: %s is %.2f times as large as a grown-up: are the scene's units right?",
                self.inspection.blend, name, scale,
            )  # fmt: skip

    def _film(self, shots: list[Shot], options: FilmOptions, folder: Path) -> None:
        cameras = {}
        for number, shot in enumerate(shots):
            in_scene = shot.path.world_from_camera.copy()
            in_scene[:, :3, 3] += shot.performance.origin
            nowhere = np.full((options.num_frames, 2, 4), np.nan)
            cameras[f"{number}_world_from_camera"] = in_scene
            cameras[f"{number}_intrinsics"] = shot.path.intrinsics
            cameras[f"{number}_hand_boxes"] = nowhere if shot.boxes is None else shot.boxes
        plan = self._plan(
            "film",
            engine=options.engine,
            mask_samples=MASK_SAMPLES,
            hand_joints=HAND_POINTS,
            hand_seen_share=HAND_SEEN_SHARE,
            # only the driving hands are shown to the encoder
            shots=[
                _shot_plan(shot, crop_size)
                for shot, crop_size in zip(shots, (HAND_CROP_SIZE, 0), strict=True)
            ],
        )
        self._session.do(plan, folder, cameras)

    def _develop(self, folder: Path, shot: Shot) -> tuple[FilmedClip, np.ndarray | None]:
        person = self.inspection.person_id(shot.performance.take.character)
        return develop(folder, shot.path, shot.performance.origin, shot.boxes, person)


def open_scene(
    blend: str | Path, blender: str | Path | None = None, *, silence_s: float = SILENCE_S
) -> BlenderScene:
    """Open a .blend so that it can be filmed.

    Args:
        blend: The file. Scripts in it are never run.
        blender: A Blender program of 4.2 or newer, or a Python that has the module `bpy`; None is the program
            `blender` that the shell would find.
        silence_s: How long Blender may say nothing before it counts as hanging.

    Raises:
        InvalidScene: The file is missing or unreadable, or nobody in it can be filmed.
        DataError: There is no such Blender, or it crashed or hangs.
    """
    blend = Path(blend)
    if not blend.is_file():
        raise InvalidScene(f"{blend} is not there, or is no file", remedy="name a .blend file")
    session = BlenderSession(find_blender(blender), blend, silence_s=silence_s)
    try:
        return BlenderScene(inspect(blend, session), session)
    except BaseException:
        session.close()
        raise


def _sample_id(stem: str, key: tuple[int, ...]) -> str:
    """A name that may stand in any archive: letters, digits, "_" and "-"."""
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", stem)[:_MAX_STEM]
    return "-".join(["blender", plain, *(f"{number:06d}" for number in key)])


def _shot_plan(shot: Shot, crop_size: int) -> dict[str, Any]:
    return {
        **vars(shot.performance.take),
        "size": [shot.path.width, shot.path.height],
        "room": shot.room,
        "hand_slack_m": _HAND_SLACK_M * shot.performance.scale,
        "hand_crop_size": crop_size,
    }
