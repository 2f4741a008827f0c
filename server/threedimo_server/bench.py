"""`threedimo bench`: what a model costs on this machine, as a table and as JSON."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

from threedimo.model_info import AUTO_PLAN
from threedimo.version import VERSION
from threedimo.wire.messages import ModelInfo
from threedimo_server.job_progress import JobProgress
from threedimo_server.served_models import ModelChoice
from threedimo_server.warm_model import give_up_memory


@dataclass(frozen=True)
class BenchOptions:
    """What a person asks for.

    Attributes:
        choice: The model.
        device: As `threedimo.checkpoints.load_pipeline` takes it.
        plans: Memory plans to measure; empty means the one that `auto` takes.
        rounds: Of forwards.
        num_steps: Denoising steps of each shot.
    """

    choice: ModelChoice
    device: str
    plans: tuple[str, ...]
    rounds: int
    num_steps: int


def bench(options: BenchOptions, progress: JobProgress) -> dict[str, Any]:
    """Load the model with each plan in turn and measure it.

    Returns:
        `model`, `device`, `shot` (what was made), `versions`, and `plans`: by name the seconds it took to
        load, a shot's costs, and with "full" `forward`, a forward's costs against the plain generator's.

    Raises:
        ModelError: The model cannot be used.
        InvalidRequest: There is no such device or plan.
        OutOfMemory: The device is too small for a plan.
    """
    from threedimo.checkpoints import choose_device

    device = _device_words(choose_device(options.device))
    measured = [_measure(plan, options, progress) for plan in options.plans or (AUTO_PLAN,)]
    info = measured[0][0]
    return {
        "model": info.id,
        "device": device,
        "shot": {
            "num_frames": info.num_frames,
            "width": info.width,
            "height": info.height,
            "steps": options.num_steps,
            "text_guidance_scale": info.text_guidance_scale,
            "motion_guidance_scale": info.motion_guidance_scale,
        },
        "plans": {plan: found for _, plan, found in measured},
        "versions": {"threedimo": VERSION, "python": platform.python_version()}
        | {name: version(name) for name in ("torch", "diffusers")},
    }


def _measure(
    plan: str, options: BenchOptions, progress: JobProgress
) -> tuple[ModelInfo, str, dict[str, Any]]:
    """What the model makes, the plan that was taken, its figures. The model is gone when this returns."""
    from threedimo.checkpoints import load_pipeline
    from threedimo.step_costs import forward_costs, shot_cost

    def told(phase: str, total: int) -> Callable[[int], None]:
        return lambda done: progress.step(phase, done, total)

    choice = options.choice
    progress.note(f"loading {choice.model}, memory plan {plan}")
    began_s = time.monotonic()
    pipeline = load_pipeline(
        choice.model, choice.adapter, untrained=choice.untrained, device=options.device, memory=plan
    )
    found: dict[str, Any] = {"loading_s": time.monotonic() - began_s}
    if pipeline.memory_plan == "full":
        costs = forward_costs(pipeline, options.rounds, told("forwards", options.rounds))
        found["forward"] = {name: asdict(cost) for name, cost in costs.items()}
    found |= asdict(shot_cost(pipeline, options.num_steps, told("denoising", options.num_steps)))
    info, taken = pipeline.info, pipeline.memory_plan
    del pipeline
    give_up_memory()  # or the next plan would be measured beside this one
    return info, taken, found


def bench_json(document: dict[str, Any]) -> str:
    """All figures, for programs."""
    return json.dumps(document, indent=1)


def bench_lines(document: dict[str, Any]) -> Iterator[str]:
    """A table for a person."""
    shot = document["shot"]
    yield f"{document['model']} on {document['device']}"
    yield (
        f"{shot['num_frames']} frames of {shot['width']}x{shot['height']}, {shot['steps']} steps, guidance "
        f"{shot['motion_guidance_scale']:g} (motion) and {shot['text_guidance_scale']:g} (text)"
    )
    for plan, found in document["plans"].items():
        yield ""
        yield f"memory plan {plan}: loaded in {found['loading_s']:.1f} s"
        for name, cost in found.get("forward", {}).items():
            yield f"  a forward, {name:18} {cost['seconds'] * 1e3:9.1f} ms  {cost['ratio']:6.3f} of plain"
        for phase, seconds in found["seconds"].items():
            yield f"  {phase:29} {seconds:9.2f} s"
        yield f"  a denoising step, guided      {found['seconds_per_step'] * 1e3:9.1f} ms"
        if found["peak_bytes"] is not None:
            yield f"  most memory of the device     {found['peak_bytes'] / 1e9:9.2f} GB"


def _device_words(device: Any) -> str:
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{torch.get_num_threads()} threads of {os.cpu_count()} processors ({platform.machine()})"
