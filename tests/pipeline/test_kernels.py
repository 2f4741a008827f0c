"""Attention kernels and compilation: pictures but for rounding, refusals, memory plans, step caches."""

from __future__ import annotations

import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from diffusers.models.attention_dispatch import AttentionBackendName

from threedimo.checkpoints import load_pipeline
from threedimo.errors import InvalidRequest
from threedimo.kernels import compile_blocks
from threedimo.memory_plans import apply_plan
from threedimo.model_info import ATTENTION_KERNELS

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the compiler itself

needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler is installed")


@pytest.fixture(scope="module")
def compiled(tiny_pipeline_folder):
    return load_pipeline(str(tiny_pipeline_folder), device="cpu", compiled=True)


def is_compiled(pipeline):
    return {block._compiled_call_impl is not None for block in pipeline.transformer.blocks}


@needs_compiler
@pytest.mark.parametrize("step_cache", ["none", "first_block:0.1"])
def test_compiled_the_frames_are_the_same_but_for_rounding(
    pipeline, compiled, reference_image, driving_frames, camera_path, step_cache
):
    assert (is_compiled(pipeline), is_compiled(compiled)) == ({False}, {True})
    made = [
        model(
            *(reference_image, driving_frames[:9], "Front view.", camera_path),
            num_inference_steps=5,
            step_cache=step_cache,
        ).frames.astype(int)
        for model in (pipeline, compiled)
    ]
    assert made[0].std() > 1
    assert np.abs(made[0] - made[1]).max() <= 2


def test_memory_plans_that_move_layers_are_not_compiled(tiny_pipeline_folder, caplog):
    pipeline = load_pipeline(str(tiny_pipeline_folder), device="cpu", compiled=True)
    apply_plan(pipeline, "fp8", torch.device("cpu"))
    assert is_compiled(pipeline) == {False}
    compile_blocks(pipeline.transformer, pipeline.memory_plan)
    assert is_compiled(pipeline) == {False}
    assert "not compiled: the memory plan fp8" in caplog.text


def test_kernels_are_those_of_the_library():
    assert set(ATTENTION_KERNELS) <= {kernel.value for kernel in AttentionBackendName}


def test_a_kernel_that_is_not_there_is_refused(tiny_pipeline_folder):
    with pytest.raises(
        InvalidRequest, match=r"no such attention kernel.*given: fast.*Allowed: native, flash"
    ):
        load_pipeline(str(tiny_pipeline_folder), device="cpu", attention="fast")
    with pytest.raises(InvalidRequest, match=r"cannot be used here: .*sage.*What to do: install its package"):
        load_pipeline(str(tiny_pipeline_folder), device="cpu", attention="sage")


PROGRAM = """
import sys
import numpy as np
from diffusers.models import attention_dispatch
from threedimo.checkpoints import load_pipeline

used = []
native = attention_dispatch._AttentionBackendRegistry._backends
for name, kernel in list(native.items()):
    def noted(*given, name=name, kernel=kernel, **named):
        used.append(name.value)
        return kernel(*given, **named)
    native[name] = noted
pipeline = load_pipeline(sys.argv[1], device="cpu", attention="flex")
rng = np.random.default_rng(0)
frames = rng.integers(0, 256, (9, 32, 32, 3), dtype=np.uint8)
pipeline(frames[0], frames, num_inference_steps=1)
print(sorted(set(used)))
"""


@needs_compiler
def test_the_motion_is_attended_to_by_the_same_kernel(tiny_pipeline_folder):
    """In a process of its own, for which the choice holds."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tiny_pipeline_folder)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "['flex']"
