"""What is in a .blend: its characters, what they can perform, and whether that is enough to film."""

from __future__ import annotations

import json
import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from threedimo.errors import InvalidScene
from threedimo_training.blender_scenes.blender_process import BlenderSession
from threedimo_training.blender_scenes.bone_names import SCHEMES, BoneMap, map_bones

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Action:
    """Something that a character can perform, between two scene frames."""

    name: str
    start: float
    end: float


@dataclass(frozen=True)
class Character:
    """A rigged person of the file.

    Attributes:
        armature: Name of the armature object.
        bone_map: Its bones as our joints.
        actions: What it can perform, by name.
    """

    armature: str
    bone_map: BoneMap
    actions: dict[str, Action]


@dataclass(frozen=True)
class Inspection:
    """A .blend as far as filming needs it.

    Attributes:
        blend: The file.
        characters: Everybody who can be filmed, by name of the armature.
        fps: The scene's frames per second.
        saved_frame: The scene frame that the file was saved at.
        has_surroundings: Whether anything but characters is rendered.
    """

    blend: Path
    characters: dict[str, Character]
    fps: float
    saved_frame: int
    has_surroundings: bool

    def person_id(self, armature: str) -> str:
        """Who a character is, in samples and for being held out: "<file stem>:<armature>"."""
        return f"{self.blend.stem}:{armature}"

    def motion_name(self, action: str) -> str:
        """What an action is for being held out: "<file stem>:<action>"."""
        return f"{self.blend.stem}:{action or 'still'}"


def inspect(blend: Path, session: BlenderSession) -> Inspection:
    """Look into an open .blend.

    Armatures that carry no mesh or are no person (a dog, a curtain) are part of the surroundings.

    Raises:
        InvalidScene: The file is unreadable, or nobody in it can be filmed.
        DataError: Blender crashed or hangs.
    """
    with tempfile.TemporaryDirectory(prefix="threedimo-") as scratch:
        session.do({"task": "inspect", "people": {}}, Path(scratch))
        found = json.loads((Path(scratch) / "result.json").read_text(encoding="utf-8"))
    for warning in found["warnings"]:
        logger.warning("%s: %s", blend, warning)
    people = _people(blend, found["characters"])
    return Inspection(blend, people, found["fps"], found["saved_frame"], found["has_surroundings"])


def _people(blend: Path, listed: list[dict[str, Any]]) -> dict[str, Character]:
    if not listed:
        raise InvalidScene(
            f"{blend} has no armature",
            remedy="save the file with the rigged character in a visible collection of the scene",
        )
    with_mesh = [entry for entry in listed if entry["meshes"]]
    if not with_mesh:
        raise InvalidScene(
            f"{blend} has no rendered mesh that an armature moves",
            given=f"armatures {', '.join(entry['armature'] for entry in listed)}",
            remedy="bind the character's mesh to its armature, and let it be rendered",
        )
    maps = [
        (entry, map_bones((name, bool(deforms)) for name, deforms in entry["bones"])) for entry in with_mesh
    ]
    people = {
        entry["armature"]: Character(
            entry["armature"], found, {action["name"]: Action(**action) for action in entry["actions"]}
        )
        for entry, found in maps
        if not found.missing_main
    }
    if not people:
        raise _nobody(blend, maps)
    for person in people.values():
        if person.bone_map.unmapped:
            logger.warning(
                "%s: %s has no bone for %s: these joints are unknown (NaN)",
                blend, person.armature, ", ".join(person.bone_map.unmapped),
            )  # fmt: skip
    return people


def _nobody(blend: Path, maps: list[tuple[dict[str, Any], BoneMap]]) -> InvalidScene:
    entry, best = min(maps, key=lambda pair: len(pair[1].missing_main))
    return InvalidScene(
        f"{blend} has no armature whose bones are understood: {entry['armature']} has none for "
        f"{', '.join(best.missing_main)}",
        given=f"bones {', '.join(name for name, _ in entry['bones'])}",
        allowed=f"names as in {'; '.join(SCHEMES)}",
        remedy="rename the bones of hips, knees, ankles, shoulders, elbows and wrists",
    )
