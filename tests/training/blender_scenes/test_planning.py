"""Who performs what: repeatable, the same frames for both, and clear errors where nothing fits."""

from __future__ import annotations

import numpy as np
import pytest

from threedimo.errors import InvalidScene
from threedimo_training.blender_scenes.inspection import Inspection
from threedimo_training.blender_scenes.planning import STILL_POSE, plan_takes
from threedimo_training.motion.held_out import is_held_out

from .conftest import inspection

WALK = {"walk": (1.0, 73.0)}


def plan(found: Inspection, seed: int = 0, num_frames: int = 9, fps: float = 8.0, **options):
    return plan_takes(np.random.default_rng(seed), found, num_frames, fps, **options)


def test_two_people_share_the_frames_of_an_action():
    found = inspection({"Anna": WALK | {"wave": (5.0, 60.0)}, "Bert": WALK})
    pairs = set()
    for seed in range(30):
        driving, target, _ = plan(found, seed)
        assert driving.scene_frames == target.scene_frames
        assert driving.action == target.action
        assert (driving.character != target.character) == (driving.action == "walk")
        np.testing.assert_allclose(np.diff(driving.scene_frames), 3.0)
        first, last = found.characters["Anna"].actions[driving.action].start, driving.scene_frames[-1]
        assert first <= driving.scene_frames[0]
        assert last <= found.characters["Anna"].actions[driving.action].end
        pairs.add((driving.character, target.character))
    assert pairs == {("Anna", "Bert"), ("Bert", "Anna"), ("Anna", "Anna")}


def test_a_state_is_one_plan_and_starts_vary():
    found = inspection({"Anna": WALK})
    assert plan(found, 4) == plan(found, 4)
    assert len({plan(found, seed)[0].scene_frames[0] for seed in range(20)}) > 8


def test_other_rates_meet_the_scene_between_its_frames():
    driving, _, _ = plan(inspection({"Anna": WALK}), num_frames=5, fps=16.0)
    np.testing.assert_allclose(np.diff(driving.scene_frames), 1.5)


def test_an_action_that_just_fits():
    driving, _, _ = plan(inspection({"Anna": {"walk": (10.0, 34.0)}}), num_frames=11, fps=10.0)
    assert driving.scene_frames[0] == 10.0
    assert driving.scene_frames[-1] == pytest.approx(34.0)


def test_people_whose_stretches_do_not_meet_perform_alone():
    found = inspection({"Anna": {"walk": (1.0, 30.0)}, "Bert": {"walk": (40.0, 70.0)}})
    for seed in range(8):
        driving, target, _ = plan(found, seed)
        assert driving == target


def test_actions_that_are_too_short():
    with pytest.raises(
        InvalidScene, match=r"cast\.blend is shorter.*at most 25 frames at 8 fps.*walk.*higher rate"
    ):
        plan(inspection({"Anna": WALK | {"nod": (1.0, 5.0)}}), num_frames=26)


def test_no_action_and_still_poses():
    found = inspection({"Anna": {}})
    with pytest.raises(InvalidScene, match=r"no action that moves the bones of Anna.*still poses"):
        plan(found)
    driving, target, _ = plan(found, still=True)
    assert driving == target
    assert driving.action == STILL_POSE
    assert driving.scene_frames == (7.0,) * 9


def test_held_out_names_are_kept_apart():
    people = {f"person{number}": {f"act{number}": (0.0, 99.0), "walk": (0.0, 99.0)} for number in range(30)}
    found = inspection(people)
    assert any(is_held_out("identity", f"cast:{name}") for name in people)
    for wanted in (False, True):
        for seed in range(25):
            driving, target, held_out = plan(found, seed, held_out=wanted)
            names = [("identity", f"cast:{take.character}") for take in (driving, target)]
            names.append(("motion", f"cast:{driving.action}"))
            assert any(is_held_out(*name) for name in names) == wanted == held_out


def test_a_file_that_is_all_on_one_side():
    found = inspection({"Anna": WALK})
    state = plan(found)[2]
    with pytest.raises(InvalidScene, match=r"(everything|nothing) in cast\.blend is kept.*one name in ten"):
        plan(found, held_out=not state)
