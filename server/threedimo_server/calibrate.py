"""What the step cache "mag" needs of a model: measured by one shot, and stored in the model's description."""

from __future__ import annotations

from pathlib import Path

import msgspec

from threedimo.errors import InvalidRequest
from threedimo.media.writing import storage_errors
from threedimo.model_files import INFO_NAME
from threedimo.model_info import EMBEDDED, adapter_folder, model_folder
from threedimo.wire.messages import ModelInfo
from threedimo_server.job_progress import JobProgress
from threedimo_server.served_models import ModelChoice
from threedimo_server.storage import sync_file


def calibrate(choice: ModelChoice, device: str, progress: JobProgress) -> str:
    """Measure a model and store what was found.

    Returns:
        What to tell a person.

    Raises:
        ModelError: The model cannot be used.
        InvalidRequest: It has no description of its own, or there is no such device.
        StorageError: The description cannot be written.
    """
    folder = described_folder(choice)
    from threedimo.checkpoints import load_pipeline
    from threedimo.setting_costs import mag_ratios

    progress.note(f"loading {choice.model}")
    pipeline = load_pipeline(choice.model, choice.adapter, device=device)
    total = pipeline.info.num_inference_steps
    ratios = mag_ratios(pipeline, lambda done: progress.step("denoising", done, total))
    store_ratios(folder, ratios)
    return f"{len(ratios)} ratios in {folder / INFO_NAME}"


def described_folder(choice: ModelChoice) -> Path:
    """The folder whose `threedimo.json` says what a model makes.

    Raises:
        InvalidRequest: It has none that could be written: the packaged model, or a stock one.
        ModelNotFound: There is no such model or adapter.
    """
    if choice.lora is not None:
        raise InvalidRequest(
            "a model with a LoRA for few steps has nothing to take over from step to step",
            given=choice.lora,
            remedy="leave --lora out",
        )
    if choice.adapter is not None:
        return adapter_folder(choice.adapter)
    if choice.untrained or choice.model == EMBEDDED:
        raise InvalidRequest(
            "this model has no description of its own that could be written",
            given="a stock model" if choice.untrained else choice.model,
            allowed="a model of this project in a folder, or an adapter",
        )
    return model_folder(choice.model)


def store_ratios(folder: Path, ratios: list[float]) -> None:
    """Write the ratios into a folder's description, all of it or nothing.

    Raises:
        StorageError: The folder cannot be written.
    """
    file, part = folder / INFO_NAME, folder / f".{INFO_NAME}.part"
    with storage_errors(file):
        info = msgspec.json.decode(file.read_bytes(), type=ModelInfo)
        changed = msgspec.structs.replace(info, mag_ratios=ratios)
        try:
            part.write_bytes(msgspec.json.format(msgspec.json.encode(changed), indent=2) + b"\n")
            sync_file(part)
            part.replace(file)
        finally:
            part.unlink(missing_ok=True)
