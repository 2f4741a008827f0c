"""The command `threedimo`: arguments in, exit codes out. What each command does stands in a file of its own.

Notable: nothing heavy is imported before a command needs it, so that `--help` answers at once.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from threedimo.errors import ThreeDimoError
from threedimo.version import VERSION

USAGE_EXIT_CODE = 2
INTERRUPTED_EXIT_CODE = 130

EPILOG = """\
A first look, offline and on any machine:
  threedimo demo

One shot:
  threedimo generate --reference woman.png --drive dance.mp4 --camera-path camera.json --output shots/010

Exit codes:
  0 done               5 request cannot be made   9 asset damaged or missing
  1 internal error     6 model                   10 disk
  2 wrong usage        7 server                  11 job failed or unknown
  3 media              8 protocol               130 interrupted or cancelled
  4 camera

Errors are one paragraph on standard error: threedimo: error [code]: what is wrong, and what to do.
The server keeps its queue and results in the folder THREEDIMO_HOME (otherwise ~/.threedimo).
"""

SERVER_HELP = "connection file of the server (otherwise this user's own)"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(USAGE_EXIT_CODE, f"threedimo: error [usage]: {message}. Try `{self.prog} --help`.\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = build_parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except ThreeDimoError as error:
        print(f"threedimo: error [{error.code}]: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # The reader, `head` for example, has seen enough; what is left must not fail at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("threedimo: interrupted", file=sys.stderr)
        return INTERRUPTED_EXIT_CODE


def build_parser() -> argparse.ArgumentParser:
    """The whole command line; every command sets `run`."""
    parser = _Parser(
        prog="threedimo",
        description="A person in a picture performs the 3D motion of a video, seen by your own camera.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"threedimo {VERSION}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=_Parser)
    _add_demo(commands)
    _add_generate(commands)
    _add_serve(commands)
    _add_jobs(commands)
    _add_cancel(commands)
    _add_doctor(commands)
    return parser


def _add_demo(commands: argparse._SubParsersAction[_Parser]) -> None:
    command = commands.add_parser(
        "demo",
        help="make one shot from the inputs in the package, to see that everything works",
        description="Starts a server of its own, sends the packaged inputs through the real protocol, and "
        "writes frames/, video.mp4, contact_sheet.png and result.json.",
    )
    command.add_argument(
        "--output", type=Path, default=Path("out/demo"), metavar="FOLDER", help="(default: %(default)s)"
    )
    command.set_defaults(run=_demo)


def _add_generate(commands: argparse._SubParsersAction[_Parser]) -> None:
    command = commands.add_parser(
        "generate",
        help="make one shot",
        description="Makes one shot and writes frames/, video.mp4, result.json and contact_sheet.png. Uses "
        "the running server; without one, starts a server with the embedded model for this shot alone. "
        "Ctrl-C cancels the job.",
    )
    inputs = command.add_argument_group("inputs")
    inputs.add_argument("--reference", type=Path, required=True, metavar="IMAGE", help="the person to show")
    inputs.add_argument(
        "--drive",
        type=Path,
        nargs="+",
        required=True,
        metavar="FOOTAGE",
        help="the motion: one video, a folder of pictures, or pictures in order (both need --drive-fps)",
    )
    inputs.add_argument(
        "--drive-fps", type=_positive_number, metavar="FPS", help="frame rate of pictures given to --drive"
    )
    inputs.add_argument(
        "--drive-start", type=_seconds, default=0.0, metavar="S", help="seconds into the footage (default: 0)"
    )
    inputs.add_argument("--camera-path", type=Path, metavar="FILE.json", help="the camera, frame by frame")
    inputs.add_argument("--text", help="the camera in words (default: a description of the camera path)")
    shot = command.add_argument_group("the shot (default: as the model was trained)")
    shot.add_argument("--frames", type=_positive_whole, metavar="N", help="frames to make: 4k+1")
    shot.add_argument("--fps", type=_positive_number, metavar="FPS", help="frames per second")
    shot.add_argument("--steps", type=_positive_whole, metavar="N", help="denoising steps")
    shot.add_argument("--seed", type=_whole, default=0, metavar="N", help="equal seeds repeat (default: 0)")
    output = command.add_argument_group("output")
    output.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="new or empty folder")
    output.add_argument("--overwrite", action="store_true", help="replace an earlier result in that folder")
    output.add_argument("--server", metavar="WHERE", help=SERVER_HELP)
    command.set_defaults(run=_generate)


def _add_serve(commands: argparse._SubParsersAction[_Parser]) -> None:
    command = commands.add_parser(
        "serve",
        help="run the server until Ctrl-C",
        description="Runs the server on this machine until Ctrl-C or SIGTERM. Jobs and results outlive it.",
    )
    command.add_argument(
        "--model",
        default="embedded",
        metavar="MODEL",
        help='"embedded" (default), a folder, or a Hugging Face hub id',
    )
    command.add_argument(
        "--device",
        action="append",
        metavar="DEVICE",
        help='"auto" (default), "cpu", "cuda:0" ...; give it again for more workers',
    )
    command.add_argument("--port", type=_positive_whole, metavar="N", help="control port (default: any free)")
    command.add_argument(
        "--data-port", type=_positive_whole, metavar="N", help="data port (default: the one after --port)"
    )
    command.set_defaults(run=_serve)


def _add_jobs(commands: argparse._SubParsersAction[_Parser]) -> None:
    command = commands.add_parser("jobs", help="list the newest jobs of the server")
    command.add_argument("--server", metavar="WHERE", help=SERVER_HELP)
    command.set_defaults(run=_jobs)


def _add_cancel(commands: argparse._SubParsersAction[_Parser]) -> None:
    command = commands.add_parser("cancel", help="cancel a job")
    command.add_argument("job_id", type=_job_id, metavar="JOB_ID", help="as `threedimo jobs` shows it")
    command.add_argument("--server", metavar="WHERE", help=SERVER_HELP)
    command.set_defaults(run=_cancel)


def _add_doctor(commands: argparse._SubParsersAction[_Parser]) -> None:
    command = commands.add_parser(
        "doctor",
        help="check the installation and say what to mend",
        description="Checks packages, devices, model, server, disk and codecs; exits with 1 if one is wrong.",
    )
    command.add_argument("--json", action="store_true", help="print the checks as JSON")
    command.set_defaults(run=_doctor)


def _demo(options: argparse.Namespace) -> int:
    from threedimo_server.demo import run_demo

    _stop_on_sigterm()
    for line in run_demo(options.output):
        print(line)
    return 0


def _generate(options: argparse.Namespace) -> int:
    from threedimo_server.generate import generate
    from threedimo_server.shot_inputs import ShotOptions

    _stop_on_sigterm()
    result = generate(
        ShotOptions(
            reference=options.reference,
            drive=tuple(options.drive),
            drive_fps=options.drive_fps,
            drive_start_s=options.drive_start,
            camera_path=options.camera_path,
            text=options.text,
            num_frames=options.frames,
            fps=options.fps,
            num_inference_steps=options.steps,
            seed=options.seed,
            output=options.output,
            overwrite=options.overwrite,
        ),
        server=options.server,
    )
    for line in result.lines():
        print(line)
    return 0


def _serve(options: argparse.Namespace) -> int:
    from threedimo.wire.connection import home_folder
    from threedimo_server.config import ServerConfig
    from threedimo_server.front import run_server

    port, data_port = options.port, options.data_port
    config = ServerConfig(
        home=home_folder(),
        model=options.model,
        devices=tuple(options.device or ("auto",)),
        control_port=port,
        data_port=port + 1 if data_port is None and port is not None else data_port,
    )
    return run_server(config)


def _jobs(options: argparse.Namespace) -> int:
    from threedimo_server.job_commands import job_table

    for line in job_table(options.server):
        print(line)
    return 0


def _cancel(options: argparse.Namespace) -> int:
    from threedimo_server.job_commands import cancel_job

    print(cancel_job(options.job_id, options.server))
    return 0


def _doctor(options: argparse.Namespace) -> int:
    from threedimo_server.doctor import examine, report_json, report_lines

    checks = examine()
    for line in [report_json(checks)] if options.json else report_lines(checks):
        print(line)
    return 0 if all(check.ok for check in checks) else 1


def _stop_on_sigterm() -> None:
    """Let a farm's SIGTERM end a shot as Ctrl-C does, so that the job is cancelled on the server too."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)


def _job_id(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is not a job id; `threedimo jobs` lists them") from None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is not a number") from None


def _positive_number(text: str) -> float:
    value = _number(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a number over 0")
    return value


def _seconds(text: str) -> float:
    value = _number(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds from 0 on")
    return value


def _whole(text: str, lowest: int = 0) -> int:
    if not (text.isascii() and text.isdecimal() and lowest <= int(text) < 2**32):
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from {lowest} to {2**32 - 1}")
    return int(text)


def _positive_whole(text: str) -> int:
    return _whole(text, lowest=1)


if __name__ == "__main__":
    sys.exit(main())
