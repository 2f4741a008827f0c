"""Who performs what in a clip: everything follows from the clip's own random generator."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from threedimo.errors import InvalidScene
from threedimo_training.blender_scenes.inspection import Action, Inspection
from threedimo_training.motion.held_out import is_held_out

# The name of the pose that the file was saved in, instead of an action's.
STILL_POSE = ""
# Frame numbers are quotients of rates: this absorbs their rounding.
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Take:
    """A character performs a stretch of an action.

    Attributes:
        character: Name of the armature.
        action: Name of the action, or `STILL_POSE`.
        scene_frames: When, in Blender's frames, with fractions where the clip's rate asks for them.
    """

    character: str
    action: str
    scene_frames: tuple[float, ...]


@dataclass(frozen=True)
class _Cast:
    """Who may drive and who may be the target of an action, and the stretch that both can perform."""

    action: Action
    driving: str
    target: str

    def is_held_out(self, inspection: Inspection) -> bool:
        people = (inspection.person_id(name) for name in (self.driving, self.target))
        return is_held_out("motion", inspection.motion_name(self.action.name)) or any(
            is_held_out("identity", person) for person in people
        )


def plan_takes(
    rng: np.random.Generator,
    inspection: Inspection,
    num_frames: int,
    fps: float,
    *,
    still: bool = False,
    held_out: bool | None = None,
) -> tuple[Take, Take, bool]:
    """The driver's and the target's take: the same stretch of one action, by different people where two can.

    Args:
        rng: Decides everything.
        inspection: Who and what there is.
        num_frames: Frames of the clip.
        fps: Frames per second of the clip.
        still: Let people without an action stay in the pose that the file was saved in.
        held_out: Plan only what is kept for evaluation, only what is not, or (None) both.

    Returns:
        The two takes, and whether an action or a person in them is held out.

    Raises:
        InvalidScene: Nobody can perform anything, no action is long enough, or all or nothing is held out.
    """
    length = (num_frames - 1) * inspection.fps / fps
    casts = _casts(inspection, length, still)
    if not casts:
        raise _nothing_to_perform(inspection, num_frames, fps, length)
    allowed = [cast for cast in casts if held_out is None or cast.is_held_out(inspection) == held_out]
    if not allowed:
        raise _wrong_side(inspection, casts)
    actions = sorted({cast.action.name for cast in allowed})
    action = actions[rng.integers(len(actions))]
    able = [cast for cast in allowed if cast.action.name == action]
    able = [cast for cast in able if cast.driving != cast.target] or able
    cast = able[rng.integers(len(able))]
    room = max(cast.action.end - cast.action.start - length, 0.0)
    start = cast.action.start + float(rng.integers(math.floor(room + _ROUNDING) + 1))
    step = 0.0 if action == STILL_POSE else inspection.fps / fps
    frames = tuple(start + index * step for index in range(num_frames))
    driving, target = (Take(name, action, frames) for name in (cast.driving, cast.target))
    return driving, target, cast.is_held_out(inspection)


def _casts(inspection: Inspection, length: float, still: bool) -> list[_Cast]:
    """Every pair of people, equal or not, with every action that both can perform for long enough."""
    actions: dict[str, dict[str, Action]] = {}
    saved = Action(STILL_POSE, inspection.saved_frame, inspection.saved_frame + length)
    for person in inspection.characters.values():
        performed = person.actions or ({STILL_POSE: saved} if still else {})
        for name, action in performed.items():
            actions.setdefault(name, {})[person.armature] = action
    casts = []
    for name, able in sorted(actions.items()):
        for driving, target in [*permutations(able, 2), *((person, person) for person in able)]:
            start = max(able[driving].start, able[target].start)
            end = min(able[driving].end, able[target].end)
            if end - start >= length - _ROUNDING:
                casts.append(_Cast(Action(name, start, end), driving, target))
    return casts


def _wrong_side(inspection: Inspection, casts: list[_Cast]) -> InvalidScene:
    everything = casts[0].is_held_out(inspection)
    names = sorted({cast.action.name for cast in casts})
    return InvalidScene(
        f"{'everything' if everything else 'nothing'} in {inspection.blend} is kept for evaluation",
        given=f"people {', '.join(inspection.characters)}; actions {', '.join(names)}",
        allowed="one name in ten is kept, by a hash of the file's and the armature's or the action's name",
        remedy="film it for the other purpose" + (", or rename the file" if everything else ""),
    )


def _nothing_to_perform(inspection: Inspection, num_frames: int, fps: float, length: float) -> InvalidScene:
    actions = [action for person in inspection.characters.values() for action in person.actions.values()]
    if not actions:
        return InvalidScene(
            f"{inspection.blend} has no action that moves the bones of {', '.join(inspection.characters)}",
            remedy="give the character an action, or ask for still poses",
        )
    longest = max(actions, key=lambda action: action.end - action.start)
    fits = math.floor((longest.end - longest.start) * fps / inspection.fps + _ROUNDING) + 1
    return InvalidScene(
        f"every action of {inspection.blend} is shorter than a clip",
        given=f"{num_frames} frames at {fps:g} fps are {length:g} frames of the scene",
        allowed=f"at most {fits} frames at {fps:g} fps, as in the action {longest.name}",
        remedy="ask for fewer frames or a higher rate, or make an action longer",
    )
