"""What a training of a full-size model is: decided once, kept in its work folder, compared ever after."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import msgspec

from threedimo.errors import InvalidRequest, TrainingMismatch
from threedimo_training.shards.durable import write_file

Trained = Literal["full", "lora", "adapters"]
TRAINED: tuple[Trained, ...] = ("full", "lora", "adapters")
PLAN_FILE = "finetune.json"
# The paper's rate is that of a whole generator; few new weights take, and need, larger steps.
LEARNING_RATES: dict[Trained, float] = {"full": 1e-5, "lora": 1e-4, "adapters": 1e-4}


@dataclass(frozen=True)
class FinetunePlan:
    """Everything that decides which weights come out.

    Args:
        base: The model that is trained, as it was named.
        base_weights: Fingerprint of its transformer without motion layers.
        data: Fingerprint of the samples, or "synthetic" for samples drawn as the training goes.
        train: "adapters": motion attention and both encoders. "lora": those, and low-rank changes of the
            generator's attention and feed-forward layers. "full": all of the transformer, and both encoders.
        steps: Optimizer steps.
        batch: Samples of a step, over all processes.
        learning_rate: At its highest.
        width: Of the frames in pixels.
        height: Of the frames in pixels.
        num_frames: Of a clip, 4k+1.
        fps: Of the clips.
        lora_rank: Rank of the changes; 0 unless `train` is "lora".
        seed: Of everything random.
    """

    base: str
    base_weights: str
    data: str
    train: Trained
    steps: int
    batch: int
    learning_rate: float
    width: int
    height: int
    num_frames: int
    fps: float
    lora_rank: int
    seed: int


def read_plan(work: Path) -> FinetunePlan:
    """The plan that a work folder was begun with.

    Raises:
        TrainingMismatch: There is none, or it is damaged.
    """
    file = work / PLAN_FILE
    try:
        return msgspec.json.decode(file.read_bytes(), type=FinetunePlan)
    except FileNotFoundError as error:
        raise TrainingMismatch(
            f"the folder holds no training: it has no {PLAN_FILE}",
            given=work,
            remedy="run `threedimo-train finetune` first, or check the path",
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise TrainingMismatch(f"{file} is damaged: {error}", remedy="choose another work folder") from error


def adopt_plan(work: Path, plan: FinetunePlan) -> None:
    """Write the plan into a new folder; in one that was begun, it must be the same.

    Raises:
        TrainingMismatch: The folder was begun with another plan; each difference is named.
        StorageError: The folder cannot be written.
    """
    file = work / PLAN_FILE
    if not file.exists():
        write_file(file, msgspec.json.format(msgspec.json.encode(plan), indent=1) + b"\n")
        return
    begun, asked = asdict(read_plan(work)), asdict(plan)
    changed = [name for name in begun if begun[name] != asked[name]]
    if changed:
        raise TrainingMismatch(
            f"the training in {work} was begun with other options",
            given=", ".join(f"{name} {asked[name]}" for name in changed),
            allowed=", ".join(f"{name} {begun[name]}" for name in changed),
            remedy="repeat the first command to go on, or choose another --work folder",
        )


def portions_of(batch: int, processes: int, at_once: int) -> int:
    """Portions in which each process computes its share of a batch.

    Args:
        batch: Samples of a step.
        processes: That share it.
        at_once: Samples that a process computes together.

    Raises:
        InvalidRequest: The batch cannot be shared evenly.
    """
    portions, rest = divmod(batch, processes * at_once)
    if rest or not portions:
        raise InvalidRequest(
            "the batch cannot be shared evenly",
            given=f"--batch {batch} among {processes} processes of {at_once} at once",
            allowed=f"a multiple of {processes * at_once}",
            remedy="change --batch, --at-once or the number of processes",
        )
    return portions
