"""The command `threedimo`: arguments in, exit codes out. What each command does stands in a file of its own.

Notable: nothing heavy is imported before a command needs it, so that `--help` answers at once.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from threedimo.errors import ThreeDimoError
from threedimo.version import VERSION
from threedimo_server.arguments import (
    CommandParser,
    add_footage_options,
    add_output_options,
    add_server_option,
    add_shot_options,
    job_id,
    positive_number,
)
from threedimo_server.batch_command import add_batch
from threedimo_server.bench_command import add_bench
from threedimo_server.calibrate_command import add_calibrate
from threedimo_server.convert_command import add_convert
from threedimo_server.help_texts import (
    EPILOG,
    NOVEL_VIEWS_DESCRIPTION,
    NOVEL_VIEWS_EPILOG,
    STABILIZE_DESCRIPTION,
    STABILIZE_EPILOG,
)
from threedimo_server.key_commands import add_keys
from threedimo_server.page.command import add_page
from threedimo_server.serve import add_serve

INTERRUPTED_EXIT_CODE = 130


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
    parser = CommandParser(
        prog="threedimo",
        description="A person in a picture performs the 3D motion of a video, seen by your own camera.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"threedimo {VERSION}")
    commands = parser.add_subparsers(
        title="commands", metavar="COMMAND", required=True, parser_class=CommandParser
    )
    _add_demo(commands)
    _add_generate(commands)
    add_batch(commands).set_defaults(run=_batch)
    _add_novel_views(commands)
    _add_stabilize(commands)
    add_serve(commands)
    add_keys(commands).set_defaults(run=_keys)
    _add_jobs(commands)
    _add_cancel(commands)
    add_page(commands)
    add_bench(commands)
    add_calibrate(commands)
    add_convert(commands)
    _add_doctor(commands)
    return parser


def _add_demo(commands: argparse._SubParsersAction[CommandParser]) -> None:
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


def _add_generate(commands: argparse._SubParsersAction[CommandParser]) -> None:
    command = commands.add_parser(
        "generate",
        help="make one shot",
        description="Makes one shot and writes frames/, video.mp4, comparison.mp4 (beside the driving "
        "footage), contact_sheet.png and result.json. Uses the running "
        "server; without one, starts a server with the embedded model for this shot alone. "
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
    add_footage_options(inputs)
    inputs.add_argument("--camera-path", type=Path, metavar="FILE.json", help="the camera, frame by frame")
    inputs.add_argument("--text", help="the camera in words (default: a description of the camera path)")
    add_shot_options(command)
    add_output_options(command)
    command.set_defaults(run=_generate)


def _add_novel_views(commands: argparse._SubParsersAction[CommandParser]) -> None:
    command = commands.add_parser(
        "novel-views",
        help="see the person of one picture from elsewhere",
        description=NOVEL_VIEWS_DESCRIPTION,
        epilog=NOVEL_VIEWS_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("image", type=Path, metavar="IMAGE", help="the person to show")
    views = command.add_mutually_exclusive_group()
    views.add_argument(
        "--turn",
        type=positive_number,
        default=45.0,
        metavar="DEGREES",
        help="two views: arcs to the left and to the right by so much, 15 to 360 (default: 45)",
    )
    views.add_argument(
        "--views",
        nargs="+",
        metavar="MOVE",
        help="after IMAGE: these moves instead, as MOVE or MOVE:AMOUNT (docs/camera-language.md)",
    )
    command.add_argument(
        "--seen-from",
        default="front",
        metavar="SIDE",
        help="the side of the person that IMAGE shows: front (default), front-left, left, back-left, back, "
        "back-right, right or front-right; left and right are the person's own",
    )
    add_shot_options(command, frames="frames of each view: 4k+1")
    add_output_options(command, default="out/IMAGE-views")
    command.set_defaults(run=_novel_views)


def _add_stabilize(commands: argparse._SubParsersAction[CommandParser]) -> None:
    command = commands.add_parser(
        "stabilize",
        help="show a shaky clip from a camera that stays",
        description=STABILIZE_DESCRIPTION,
        epilog=STABILIZE_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument(
        "clip",
        type=Path,
        nargs="+",
        metavar="VIDEO",
        help="one video, a folder of pictures, or pictures in order (both need --drive-fps)",
    )
    add_footage_options(command)
    add_shot_options(command, frames="frames to make: 4k+1 (default: the whole clip)")
    add_output_options(command, default="out/VIDEO-steady")
    command.set_defaults(run=_stabilize)


def _add_jobs(commands: argparse._SubParsersAction[CommandParser]) -> None:
    command = commands.add_parser("jobs", help="list the newest jobs of the server")
    add_server_option(command)
    command.set_defaults(run=_jobs)


def _add_cancel(commands: argparse._SubParsersAction[CommandParser]) -> None:
    command = commands.add_parser("cancel", help="cancel a job")
    command.add_argument("job_id", type=job_id, metavar="JOB_ID", help="as `threedimo jobs` shows it")
    add_server_option(command)
    command.set_defaults(run=_cancel)


def _add_doctor(commands: argparse._SubParsersAction[CommandParser]) -> None:
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
            follow_person=options.follow_person,
            size=options.size,
            num_inference_steps=options.steps,
            preset=options.preset,
            step_cache=options.step_cache,
            seed=options.seed,
            model_id=options.model_id or "",
            output=options.output,
            overwrite=options.overwrite,
        ),
        server=options.server,
    )
    for line in result.lines():
        print(line)
    return 0


def _batch(options: argparse.Namespace) -> int:
    from threedimo_server.batch import BatchOptions, make_batch

    engine = options.make_engine(options)
    _stop_on_sigterm()
    result = make_batch(BatchOptions(options.shots, options.output, options.preset), engine)
    for line in result.lines():
        print(line)
    result.check()
    return 0


def _novel_views(options: argparse.Namespace) -> int:
    from threedimo_server.novel_views import NovelViewsOptions, novel_views

    _stop_on_sigterm()
    turn = [f"{arc}:{options.turn:g}" for arc in ("arc_left", "arc_right")]
    result = novel_views(
        NovelViewsOptions(
            image=options.image,
            output=options.output or Path("out", f"{options.image.stem}-views"),
            views=tuple(options.views or turn),
            seen_from=options.seen_from,
            num_frames=options.frames,
            fps=options.fps,
            size=options.size,
            num_inference_steps=options.steps,
            preset=options.preset,
            step_cache=options.step_cache,
            seed=options.seed,
            model_id=options.model_id or "",
            overwrite=options.overwrite,
        ),
        server=options.server,
    )
    for line in result.lines():
        print(line)
    return 0


def _stabilize(options: argparse.Namespace) -> int:
    from threedimo_server.stabilize import StabilizeOptions, stabilize

    _stop_on_sigterm()
    result = stabilize(
        StabilizeOptions(
            clip=tuple(options.clip),
            output=options.output or Path("out", f"{options.clip[0].stem}-steady"),
            clip_fps=options.drive_fps,
            start_s=options.drive_start,
            num_frames=options.frames,
            fps=options.fps,
            follow_person=options.follow_person,
            size=options.size,
            num_inference_steps=options.steps,
            preset=options.preset,
            step_cache=options.step_cache,
            seed=options.seed,
            model_id=options.model_id or "",
            overwrite=options.overwrite,
        ),
        server=options.server,
    )
    for line in result.lines():
        print(line)
    return 0


def _keys(options: argparse.Namespace) -> int:
    for line in options.act(options):
        print(line)
    return 0


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


if __name__ == "__main__":
    sys.exit(main())
