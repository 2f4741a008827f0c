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

import msgspec

from threedimo.errors import JobFailed
from threedimo.model_info import AUTO_PLAN
from threedimo.presets import find_preset
from threedimo.version import VERSION
from threedimo_server.device_use import DeviceUse
from threedimo_server.job_progress import JobProgress
from threedimo_server.served_models import ModelChoice
from threedimo_server.warm_model import as_known, first_sentence, give_up_memory


@dataclass(frozen=True)
class BenchOptions:
    """What a person asks for.

    Attributes:
        choice: The model.
        use: Where and how; its memory plan does not count.
        plans: Memory plans to measure; empty means the one that `auto` takes.
        rounds: Of forwards.
        num_steps: Denoising steps of each shot.
        presets: To measure beside plain generation.
        step_caches: Likewise.
    """

    choice: ModelChoice
    use: DeviceUse
    plans: tuple[str, ...]
    rounds: int
    num_steps: int
    presets: tuple[str, ...] = ()
    step_caches: tuple[str, ...] = ()


def bench(options: BenchOptions, progress: JobProgress) -> dict[str, Any]:
    """Load the model with each plan in turn and measure it.

    Returns:
        `model`, `device`, `attention`, `compiled`, `shot` (what was made), `versions`, and `plans`: by name
        the seconds it took to load, a shot's costs, and with "full" `forward`, a forward's costs against the
        plain generator's, and `settings`, those of presets and step caches. Of several plans, one that failed
        has its `error`.

    Raises:
        ModelError: The model cannot be used.
        InvalidRequest: There is no such device, plan, preset or step cache.
        OutOfMemory: The device is too small for the only plan.
    """
    from threedimo.checkpoints import choose_device
    from threedimo.memory_plans import check_plan

    chosen = choose_device(options.use.device)
    info = options.choice.info()
    for preset in options.presets:
        find_preset(info, preset)  # rather than after minutes of measuring
    wanted = options.plans or (AUTO_PLAN,)
    for plan in wanted:
        check_plan(plan, chosen)
    plans: dict[str, Any] = {}
    for plan in wanted:
        try:
            taken, found = _measure(plan, options, progress)
        except Exception as error:
            known = as_known(error, JobFailed("an unexpected error", given=first_sentence(error)))
            if len(wanted) == 1:
                if known is error or isinstance(known, JobFailed):
                    raise  # what is unforeseen keeps its traceback
                raise known from error
            taken, found = plan, {"error": f"[{known.code}] {known}"}  # what others measure must not be lost
            give_up_memory()
        plans[taken] = found
    return {
        "model": info.id,
        "device": _device_words(chosen),
        "attention": options.use.attention,
        "compiled": options.use.compiled,
        "shot": {
            "num_frames": info.num_frames,
            "width": info.width,
            "height": info.height,
            "steps": options.num_steps,
            "own_steps": info.num_inference_steps,
            "text_guidance_scale": info.text_guidance_scale,
            "motion_guidance_scale": info.motion_guidance_scale,
        },
        "plans": plans,
        "versions": {"threedimo": VERSION, "python": platform.python_version()}
        | {name: version(name) for name in ("torch", "diffusers")},
    }


def failed_plans(document: dict[str, Any]) -> list[str]:
    """The plans that could not be measured."""
    return [plan for plan, found in document["plans"].items() if "error" in found]


def _measure(plan: str, options: BenchOptions, progress: JobProgress) -> tuple[str, dict[str, Any]]:
    """The plan that was taken, and its figures. The model is gone when this returns."""
    from threedimo.checkpoints import load_pipeline
    from threedimo.setting_costs import setting_costs
    from threedimo.step_costs import forward_costs, shot_cost

    def told(phase: str, total: int) -> Callable[[int], None]:
        return lambda done: progress.step(phase, done, total)

    choice = options.choice
    progress.note(f"loading {choice.model}, memory plan {plan}")
    began_s = time.monotonic()
    use = msgspec.structs.replace(options.use, memory=plan)
    pipeline = load_pipeline(**msgspec.structs.asdict(choice), **msgspec.structs.asdict(use))
    found: dict[str, Any] = {"loading_s": time.monotonic() - began_s}
    if pipeline.memory_plan == "full":
        costs = forward_costs(pipeline, options.rounds, told("forwards", options.rounds))
        found["forward"] = {name: asdict(cost) for name, cost in costs.items()}
    found |= asdict(shot_cost(pipeline, options.num_steps, told("denoising", options.num_steps)))
    if pipeline.memory_plan == "full" and (options.presets or options.step_caches):
        plain_s, costs = setting_costs(pipeline, options.presets, options.step_caches, progress.step)
        found["plain_denoising_s"] = plain_s
        found["settings"] = {name: asdict(cost) for name, cost in costs.items()}
    taken = pipeline.memory_plan
    del pipeline
    give_up_memory()  # or the next plan would be measured beside this one
    return taken, found


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
        if "error" in found:
            yield f"memory plan {plan}: {found['error']}"
            continue
        yield f"memory plan {plan}: loaded in {found['loading_s']:.1f} s"
        for name, cost in found.get("forward", {}).items():
            yield f"  a forward, {name:18} {cost['seconds'] * 1e3:9.1f} ms  {cost['ratio']:6.3f} of plain"
        for phase, seconds in found["seconds"].items():
            yield f"  {phase:29} {seconds:9.2f} s"
        yield f"  a denoising step, guided      {found['seconds_per_step'] * 1e3:9.1f} ms"
        if found["peak_bytes"] is not None:
            yield f"  most memory of the device     {found['peak_bytes'] / 1e9:9.2f} GB"
        if "settings" in found:
            yield from _setting_lines(found, shot["own_steps"])


def _setting_lines(found: dict[str, Any], own_steps: int) -> Iterator[str]:
    yield f"  plain generation, {own_steps} steps       {found['plain_denoising_s']:9.2f} s"
    for name, cost in found["settings"].items():
        near = "" if cost["psnr_db"] is None else f"  {cost['psnr_db']:.1f} dB to the same steps computed"
        yield (
            f"  {name:16} {cost['num_steps']:3} steps    {cost['denoising_s']:9.2f} s  "
            f"{cost['times_faster']:.1f} x as fast  {cost['forwards']:.1f} forwards{near}"
        )


def _device_words(device: Any) -> str:
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{torch.get_num_threads()} threads of {os.cpu_count()} processors ({platform.machine()})"
