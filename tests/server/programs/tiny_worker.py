"""The real worker with a pipeline of numpy: it dims the driving frames, and obeys words of the prompt.

slow: a step takes 0.1 s. deaf: never asks whether to stop. fatal: the process kills itself, at every try.
fatal-once: only if the file named by THREEDIMO_TEST_MARKER is missing. wrong: raises. memory: runs out of it.
noise: the result is large. device-memory: the device's is not enough. device-memory-once: until less is used.
"""

import os
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from threedimo.errors import InvalidModel, OutOfMemory
from threedimo.media import fit_frames
from threedimo.model_info import read_model_info
from threedimo.progress import Progress, Step
from threedimo_server.device_use import DeviceUse
from threedimo_server.served_models import ModelChoice
from threedimo_server.worker import main


@dataclass
class TinyOutput:
    frames: np.ndarray
    seconds: dict[str, float] = field(default_factory=dict)


class TinyPipeline:
    def __init__(self, model: str):
        self.info = read_model_info(model)
        self.driving_size = (self.info.width, self.info.height)
        self.hand_crop_size = 32
        self.memory_plan = "full"

    def use_less_memory(self):
        changed, self.memory_plan = self.memory_plan == "full", "tiny"
        return changed

    def __call__(
        self,
        _reference_image,
        driving_frames,
        prompt,
        _camera_path,
        *,
        num_frames,
        width,
        height,
        num_inference_steps,
        on_step,
        should_stop,
        **_others,
    ):
        assert driving_frames.shape[0] == num_frames
        words = prompt.split()
        if "device-memory" in words or ("device-memory-once" in words and self.memory_plan == "full"):
            raise OutOfMemory("the device has too little memory for this shot")
        progress = Progress(on_step, None if "deaf" in words else should_stop, lambda: None)
        frames = fit_frames(driving_frames, width, height)
        with progress.phase("denoising"):
            for step in range(num_inference_steps + 1):
                obey(words, step)
                progress.report(Step("denoising", step, num_inference_steps, lambda: frames[0], 0))
        if "noise" in words:
            frames = np.random.default_rng(0).integers(0, 256, (num_frames, 512, 512, 3), dtype=np.uint8)
        return TinyOutput(frames // 2, progress.seconds)


def obey(words: list[str], step: int) -> None:
    if "slow" in words:
        time.sleep(0.1)
    if step != 1:
        return
    if "wrong" in words:
        raise RuntimeError("a sentence of the library\nand a second line")
    if "memory" in words:
        raise MemoryError
    if "fatal" in words:
        os.kill(os.getpid(), signal.SIGKILL)
    marker = Path(os.environ["THREEDIMO_TEST_MARKER"])
    if "fatal-once" in words and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)


def load(choice: ModelChoice, use: DeviceUse) -> TinyPipeline:
    model = choice.model
    if Path(model, "broken").exists() or Path(model, f"broken-{use.device}").exists():
        raise InvalidModel("the weights are damaged", given=model, remedy="copy them again")
    return TinyPipeline(model)


if __name__ == "__main__":
    sys.exit(main(load=load))
