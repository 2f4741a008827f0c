from __future__ import annotations

import msgspec
import numpy as np
import pytest

from threedimo.errors import InvalidRequest
from threedimo.presets import find_preset, presets_of, read_step_cache
from threedimo.shot import Shot
from threedimo.wire.messages import ModelInfo, Preset

INFO = ModelInfo(
    id="x",
    trained=True,
    width=832,
    height=480,
    num_frames=121,
    max_frames=483,
    fps=24.0,
    frame_step=4,
    size_step=32,
    num_inference_steps=50,
    text_guidance_scale=5.0,
    motion_guidance_scale=2.0,
)


def numbers(shot: Shot) -> tuple[int, float, float, str]:
    return (
        shot.num_inference_steps,
        shot.text_guidance_scale,
        shot.motion_guidance_scale,
        shot.step_cache,
    )


def test_every_model_has_three_presets_of_which_standard_is_its_own_numbers():
    assert [preset.name for preset in presets_of(INFO)] == ["draft", "standard", "final"]
    assert numbers(Shot.checked(INFO, preset="standard")) == numbers(Shot.checked(INFO))
    assert numbers(Shot.checked(INFO)) == (50, 5.0, 2.0, "none")
    assert numbers(Shot.checked(INFO, preset="draft")) == (8, 5.0, 2.0, "taylor:2")
    assert numbers(Shot.checked(INFO, preset="final")) == (100, 5.0, 2.0, "none")
    assert Shot.checked(INFO, preset="draft").preset == "draft"


@pytest.mark.parametrize(("steps", "few", "many"), [(1, 1, 2), (4, 4, 8), (10, 4, 20), (150, 25, 200)])
def test_presets_follow_from_the_models_own_steps(steps, few, many):
    draft, _, final = presets_of(msgspec.structs.replace(INFO, num_inference_steps=steps))
    assert (draft.num_inference_steps, final.num_inference_steps) == (few, many)


def test_a_draft_has_a_sixth_of_the_forwards_of_plain_generation():
    """Plain: two forwards a step. Draft: three, of which the cache leaves out steps 3, 5 and 7 of 8."""
    draft = find_preset(INFO, "draft")
    computed = [step for step in range(draft.num_inference_steps) if step < 3 or (step - 4) % 2 == 0]
    assert 2 * INFO.num_inference_steps / (3 * len(computed)) > 6


def test_a_number_that_is_given_counts_more_than_the_presets():
    shot = Shot.checked(INFO, preset="draft", num_inference_steps=20, step_cache="none")
    assert numbers(shot) == (20, 5.0, 2.0, "none")


def test_a_model_may_have_presets_of_its_own():
    own = Preset(name="turbo", num_inference_steps=4, text_guidance_scale=1.0, motion_guidance_scale=1.0)
    info = msgspec.structs.replace(INFO, presets=[own])
    assert numbers(Shot.checked(info, preset="turbo")) == (4, 1.0, 1.0, "none")
    with pytest.raises(InvalidRequest, match=r"given: draft\).*Allowed: turbo"):
        Shot.checked(info, preset="draft")


@pytest.mark.parametrize(
    "name",
    [
        *("", "first_block", "first_block:", "first_block:2", "first_block:nan", "first_block:٣", "fast:1"),
        *("taylor:0", "taylor:1.5", "taylor:21", "taylor:2 ", "mag:-1"),
    ],
)
def test_other_step_caches_are_refused_with_those_there_are(name):
    with pytest.raises(InvalidRequest, match=r"no such step cache.*first_block:T, mag:T, taylor:N"):
        read_step_cache(name, msgspec.structs.replace(INFO, mag_ratios=[1.0]))


@pytest.mark.parametrize(
    ("name", "read"),
    [("none", ("none", 0.0)), ("first_block:0.25", ("first_block", 0.25)), ("taylor:3", ("taylor", 3.0))],
)
def test_step_caches_are_read(name, read):
    assert read_step_cache(name, INFO) == read


def test_a_preset_makes_what_its_numbers_make(make):
    by_hand = make(num_inference_steps=2, step_cache="taylor:2")  # the tiny model has two steps
    assert np.array_equal(make(preset="draft").frames, by_hand.frames)
    assert np.array_equal(make(preset="final").frames, make(num_inference_steps=4).frames)
    assert np.array_equal(make(preset="standard").frames, make().frames)
