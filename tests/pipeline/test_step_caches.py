"""Step caches: with nothing allowed to be taken over they change nothing, else fewer blocks are computed."""

from __future__ import annotations

import itertools

import msgspec
import numpy as np
import pytest
import torch

from threedimo.checkpoints import load_pipeline
from threedimo.errors import InvalidRequest
from threedimo.memory_plans import apply_plan
from threedimo.step_caches import measured_ratios

STEPS = 6
BRANCHES = 2
"""Of the guidance, where there is neither text nor camera."""


@pytest.fixture(scope="module")
def pipeline(tiny_pipeline_folder):
    """With ratios that were measured in a shot of its own."""
    pipeline = load_pipeline(str(tiny_pipeline_folder), device="cpu")
    reference = np.random.default_rng(1).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    driving = np.random.default_rng(2).integers(0, 256, (9, 32, 32, 3), dtype=np.uint8)
    with measured_ratios(pipeline.transformer, STEPS) as ratios:
        pipeline(reference, driving, num_inference_steps=STEPS)
    pipeline.info = msgspec.structs.replace(pipeline.info, mag_ratios=ratios)
    return pipeline


@pytest.fixture
def blocks(pipeline):
    """Names the blocks that are computed, call by call."""
    computed: list[int] = []
    handles = [
        block.ffn.register_forward_pre_hook(lambda *_, index=index: computed.append(index))
        for index, block in enumerate(pipeline.transformer.blocks)
    ]
    yield computed
    for handle in handles:
        handle.remove()


@pytest.mark.parametrize("step_cache", ["first_block:0", "mag:0", "taylor:1"])
@pytest.mark.parametrize("num_frames", [9, 21])
def test_a_cache_that_may_take_over_nothing_changes_nothing(make, blocks, step_cache, num_frames):
    plain = make(num_frames, num_inference_steps=STEPS).frames
    without = list(blocks)
    blocks.clear()
    assert np.array_equal(make(num_frames, num_inference_steps=STEPS, step_cache=step_cache).frames, plain)
    assert blocks == without


@pytest.mark.parametrize(
    ("step_cache", "computed"),
    [
        # the branches' six steps of two blocks; the first block is computed always
        ("first_block:1", BRANCHES * (6 + 1)),
        # retention: the first step; then three steps on end taken over, one computed, one taken over
        ("mag:1", BRANCHES * 2 * (1 + 1)),
        ("taylor:2", BRANCHES * 2 * 4),  # steps 0 to 2, then 4
        ("taylor:4", BRANCHES * 2 * 4),  # steps 0 to 2, then 4
        ("taylor:20", BRANCHES * 2 * 4),
    ],
)
def test_blocks_are_computed_only_where_nothing_is_taken_over(make, blocks, step_cache, computed):
    plain = make(num_inference_steps=STEPS).frames
    assert len(blocks) == BRANCHES * 6 * 2
    blocks.clear()
    frames = make(num_inference_steps=STEPS, step_cache=step_cache).frames
    assert len(blocks) == computed
    assert not np.array_equal(frames, plain)


@pytest.mark.parametrize("step_cache", ["first_block:0.3", "mag:0.1", "taylor:2"])
def test_windows_and_shots_know_nothing_of_each_other(make, step_cache):
    settings = {"num_inference_steps": STEPS, "step_cache": step_cache}
    first = make(9, **settings).frames
    assert np.array_equal(make(21, **settings).frames[:9], first)
    assert np.array_equal(make(9, **settings).frames, first)


def test_branches_of_the_guidance_know_nothing_of_each_other(pipeline, blocks, make):
    # Branches are computed in turn. Were their memories one, a branch would take over what another added.
    outputs: dict[int, list[torch.Tensor]] = {1: [], BRANCHES: []}
    settings = {"num_inference_steps": STEPS, "text_guidance_scale": 1.0, "step_cache": "first_block:1"}
    for num_branches, motion in ((1, 1.0), (BRANCHES, 1.5)):
        handle = pipeline.transformer.register_forward_hook(
            lambda _, __, output, kept=outputs[num_branches]: kept.append(output[0])
        )
        make(motion_guidance_scale=motion, **settings)
        handle.remove()
    assert (len(outputs[1]), len(outputs[BRANCHES])) == (STEPS, BRANCHES * STEPS)
    # In the first step all branches see the same noise.
    assert torch.equal(outputs[BRANCHES][1], outputs[1][0])
    assert len(blocks) == (1 + BRANCHES) * (STEPS + 1)


@pytest.mark.parametrize("step_cache", ["first_block:1", "mag:1", "taylor:2"])
def test_a_cache_is_gone_after_the_shot_also_after_one_that_failed(pipeline, make, step_cache):
    plain = make(num_inference_steps=STEPS).frames
    make(num_inference_steps=STEPS, step_cache=step_cache)
    assert not pipeline.transformer.is_cache_enabled

    def stop(_step):
        raise RuntimeError

    with pytest.raises(RuntimeError):
        make(num_inference_steps=STEPS, step_cache=step_cache, on_step=stop)
    assert not pipeline.transformer.is_cache_enabled
    assert np.array_equal(make(num_inference_steps=STEPS).frames, plain)


@pytest.mark.parametrize("plan", ["offload", "fp8", "tiny"])
@pytest.mark.parametrize("step_cache", ["first_block:0.3", "taylor:2"])
def test_caches_work_with_networks_that_come_and_go(
    tiny_pipeline_folder, reference_image, driving_frames, plan, step_cache
):
    pipeline = load_pipeline(str(tiny_pipeline_folder), device="cpu")
    apply_plan(pipeline, plan, torch.device("cpu"))
    inputs = reference_image, driving_frames[:9]
    settings = {"num_inference_steps": STEPS}
    plain = pipeline(*inputs, **settings).frames
    cached = pipeline(*inputs, **settings, step_cache=step_cache).frames
    nothing = "taylor:1" if step_cache.startswith("taylor") else "first_block:0"
    assert np.array_equal(pipeline(*inputs, **settings, step_cache=nothing).frames, plain)
    assert np.array_equal(pipeline(*inputs, **settings, step_cache=step_cache).frames, cached)
    assert not np.array_equal(cached, plain)


def test_ratios_are_those_of_what_the_blocks_add(pipeline, make):
    entered, added = [], []
    first, last = pipeline.transformer.blocks[0], pipeline.transformer.blocks[-1]
    handles = [
        first.register_forward_pre_hook(lambda _, inputs: entered.append(inputs[0])),
        last.register_forward_hook(lambda _, __, output: added.append((output - entered[-1]).norm(dim=-1))),
    ]
    alone = {"motion_guidance_scale": 1.0, "text_guidance_scale": 1.0, "num_inference_steps": 3}
    with measured_ratios(pipeline.transformer, 3) as ratios:
        make(**alone)
    for handle in handles:
        handle.remove()
    assert ratios[0] == 1.0
    assert ratios[1:] == pytest.approx(
        [(later / sooner).mean().item() for sooner, later in itertools.pairwise(added)]
    )


def test_mag_is_refused_where_a_model_was_not_measured(tiny_pipeline_folder, reference_image, driving_frames):
    pipeline = load_pipeline(str(tiny_pipeline_folder), device="cpu")
    with pytest.raises(InvalidRequest, match="threedimo calibrate"):
        pipeline(reference_image, driving_frames[:9], step_cache="mag:0.06")
