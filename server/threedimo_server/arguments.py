"""What the commands of `threedimo` share: the parser, options, and how words become values."""

from __future__ import annotations

import argparse
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from threedimo_server.device_use import DeviceUse
    from threedimo_server.served_models import ModelChoice

USAGE_EXIT_CODE = 2
LAST_PORT = 65_535


class CommandParser(argparse.ArgumentParser):
    """A parser that reports wrong usage as every other error is reported."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong on one line, and end with exit code 2."""
        self.print_usage(sys.stderr)
        self.exit(USAGE_EXIT_CODE, f"threedimo: error [usage]: {message}. Try `{self.prog} --help`.\n")


def add_footage_options(command: argparse._ActionsContainer) -> None:
    """Where in driving footage to begin, and how fast pictures play."""
    command.add_argument(
        "--drive-fps", type=positive_number, metavar="FPS", help="frame rate, where the footage is pictures"
    )
    command.add_argument(
        "--drive-start", type=seconds, default=0.0, metavar="S", help="seconds into the footage (default: 0)"
    )
    command.add_argument(
        "--follow-person",
        action="store_true",
        help="cut the performer out by a square that follows, and locate the hands (the server needs "
        "threedimo[people]); otherwise the middle of the footage is used, without hands",
    )


def add_shot_options(command: CommandParser, frames: str = "frames to make: 4k+1") -> None:
    """The numbers of a shot that every command explains alike."""
    shot = command.add_argument_group("the shot (default: as the model was trained)")
    shot.add_argument("--frames", type=positive_whole, metavar="N", help=frames)
    shot.add_argument("--fps", type=positive_number, metavar="FPS", help="frames per second")
    shot.add_argument(
        "--size",
        metavar="SIZE",
        help="WIDTHxHEIGHT in pixels, or a shape in the trained area: 16:9, 4:3, 1:1, 9:16 ...",
    )
    add_preset_option(shot)
    shot.add_argument("--steps", type=positive_whole, metavar="N", help="denoising steps")
    shot.add_argument(
        "--step-cache",
        metavar="KIND",
        help="compute less of each step: taylor:2, first_block:0.1, mag:0.06 (docs/speed.md), or none",
    )
    shot.add_argument("--seed", type=whole, default=0, metavar="N", help="equal seeds repeat (default: 0)")


def add_preset_option(command: argparse._ActionsContainer, whose: str = "") -> None:
    """Steps, guidance and step cache by one name."""
    command.add_argument(
        "--preset",
        default="",
        metavar="NAME",
        help=f"{whose}draft (a quick look), standard, final (twice the steps), or one of the model's own",
    )


def add_model_options(command: argparse._ActionsContainer) -> None:
    """Which model is loaded, and what of it was trained elsewhere."""
    command.add_argument(
        "--model",
        metavar="MODEL",
        help='"embedded" (default), a folder, or a Hugging Face hub id: a model of this project, or a stock '
        "Wan model in the layout of diffusers",
    )
    layers = command.add_mutually_exclusive_group()
    layers.add_argument(
        "--adapter",
        metavar="FOLDER",
        help="what was trained in MODEL, as `threedimo-train finetune-export` writes it",
    )
    layers.add_argument(
        "--untrained",
        action="store_true",
        default=None,
        help="load a stock Wan model without an adapter: motion and camera then do nothing",
    )
    command.add_argument(
        "--lora",
        metavar="FILE",
        help="a LoRA for few steps that was made for MODEL: shots then take --lora-steps, without guidance",
    )
    command.add_argument(
        "--lora-steps", type=positive_whole, metavar="N", help="steps that it was made for (default: 4)"
    )


def add_kernel_options(command: CommandParser) -> None:
    """How a generator is computed."""
    command.add_argument(
        "--attention",
        metavar="KERNEL",
        help="flash, flex, sage or xformers, if its package is there (default: native, torch's own choice)",
    )
    command.add_argument(
        "--compile",
        action="store_true",
        default=None,
        help="compile the generator: faster steps on a GPU, but the first of each size takes much longer",
    )


def device_use(options: argparse.Namespace) -> DeviceUse:
    """What `--device` and the options of `add_kernel_options` name."""
    from threedimo_server.device_use import DeviceUse

    named = {"attention": options.attention, "compiled": options.compile}
    return DeviceUse(options.device, **{name: value for name, value in named.items() if value is not None})


def model_choice(options: argparse.Namespace) -> ModelChoice:
    """What the options of `add_model_options` name; the embedded model where they name nothing."""
    from threedimo_server.served_models import ModelChoice

    named = {name: getattr(options, name) for name in ("model", "adapter", "untrained", "lora", "lora_steps")}
    return ModelChoice(**{name: value for name, value in named.items() if value is not None})


def add_output_options(command: CommandParser, default: str | None = None) -> None:
    """What every command does with its output folder, and who makes it."""
    output = command.add_argument_group("output")
    output.add_argument(
        "--output",
        type=Path,
        required=default is None,
        metavar="FOLDER",
        help="new or empty folder" + (f" (default: {default})" if default else ""),
    )
    output.add_argument("--overwrite", action="store_true", help="replace an earlier result in that folder")
    add_server_option(output)
    add_model_id_option(output)


def add_model_id_option(command: argparse._ActionsContainer) -> None:
    """Which of a server's models makes the shot."""
    command.add_argument(
        "--model-id",
        metavar="ID",
        help="one of the server's models, as `threedimo doctor` lists them (default: its first)",
    )


def add_server_option(command: argparse._ActionsContainer) -> None:
    """Which server is meant."""
    command.add_argument(
        "--server", metavar="WHERE", help="connection file of the server (otherwise this user's own)"
    )


def job_id(text: str) -> str:
    """The id of a job."""
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is not a job id; `threedimo jobs` lists them") from None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is not a number") from None


def positive_number(text: str) -> float:
    """A number over 0."""
    value = _number(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a number over 0")
    return value


def seconds(text: str) -> float:
    """Seconds from 0 on."""
    value = _number(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds from 0 on")
    return value


def whole(text: str, lowest: int = 0) -> int:
    """A whole number from `lowest` on, below 2**32."""
    if not (text.isascii() and text.isdecimal() and lowest <= int(text) < 2**32):
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from {lowest} to {2**32 - 1}")
    return int(text)


def positive_whole(text: str) -> int:
    """A whole number from 1 on."""
    return whole(text, lowest=1)


def port(text: str) -> int:
    """A TCP port."""
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= LAST_PORT):
        raise argparse.ArgumentTypeError(f"{text} is not a port from 1 to {LAST_PORT}")
    return int(text)
