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
from threedimo_server.key_commands import add_keys
from threedimo_server.serve import add_serve

INTERRUPTED_EXIT_CODE = 130

EPILOG = """\
A first look, offline and on any machine:
  threedimo demo

One shot:
  threedimo generate --reference woman.png --drive dance.mp4 --camera-path camera.json --output shots/010

All shots of a list, overnight:
  threedimo batch shots.json --output shots

From one picture, and from one shaky clip:
  threedimo novel-views woman.png --turn 90
  threedimo stabilize shaky.mp4

Exit codes:
  0 done               5 request cannot be made   9 asset damaged or missing
  1 internal error     6 model                   10 disk
  2 wrong usage        7 server                  11 job failed or unknown
  3 media              8 protocol               130 interrupted or cancelled
  4 camera

Errors are one paragraph on standard error: threedimo: error [code]: what is wrong, and what to do.
The server keeps its queue and results in the folder THREEDIMO_HOME (otherwise ~/.threedimo).
"""

BATCH_DESCRIPTION = """\
Queues all shots of a list at once, and collects them as they come: FOLDER/NAME/ as `generate` writes a shot.
Every shot is checked before any is sent; one that fails does not hold up the others. Stopped in whatever way,
the same command goes on: it finds what the server has made meanwhile, and makes nothing twice. Ctrl-C cancels
what is not done. Uses the running server; without one, starts a server with the embedded model.
"""

BATCH_EPILOG = """\
The list, with paths relative to it:
  {"shots": [
    {"name": "010", "reference": "woman.png", "drive": "dance.mp4", "camera_path": "camera_010.json"},
    {"name": "020", "reference": "woman.png", "drive": ["a.png", "b.png"], "drive_fps": 12,
     "drive_start": 0, "text": "Front view.", "frames": 17, "fps": 8, "steps": 10, "seed": 3}
  ]}
Fields but `name` are options of `threedimo generate`, and can be left out where it has a default.
"""

NOVEL_VIEWS_DESCRIPTION = """\
Makes one shot for each view of a picture, in which only the camera moves, and a sheet of all of them. Uses
the running server; without one, starts a server with the embedded model for this command alone. Interrupted,
it keeps the views that are done, and the same command makes the rest.
"""

NOVEL_VIEWS_EPILOG = """\
Examples:
  threedimo novel-views woman.png
  threedimo novel-views woman.png --turn 90 --output out/woman
  threedimo novel-views profile.jpg --seen-from left --views arc_right:90 zoom_in up:0.5
  threedimo novel-views woman.png --views arc_left:360 --frames 65

The folder holds contact_sheet.png, views/NAME/ (each as `generate` writes a shot), cameras/NAME.json (for
--camera-path of `generate`), reference.png and views.json. Until all is done it is called FOLDER.unfinished.
"""

STABILIZE_DESCRIPTION = """\
Makes a shot in which the person of a shaky clip's first frame does what the clip shows, before a camera that
stays, and a sheet of before and after. The whole clip is made, long ones window by window. Uses the running
server; without one, starts a server with the embedded model for this command alone. Ctrl-C cancels the job.
"""

STABILIZE_EPILOG = """\
Examples:
  threedimo stabilize shaky.mp4
  threedimo stabilize shaky.mp4 --drive-start 2 --frames 49 --output out/steady
"""


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
    _add_batch(commands)
    _add_novel_views(commands)
    _add_stabilize(commands)
    add_serve(commands)
    add_keys(commands).set_defaults(run=_keys)
    _add_jobs(commands)
    _add_cancel(commands)
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


def _add_batch(commands: argparse._SubParsersAction[CommandParser]) -> None:
    command = commands.add_parser(
        "batch",
        help="make all shots of a list",
        description=BATCH_DESCRIPTION,
        epilog=BATCH_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("shots", type=Path, metavar="SHOTS.json", help="the list")
    command.add_argument(
        "--output", type=Path, required=True, metavar="FOLDER", help="new or empty, or this batch's own"
    )
    add_server_option(command)
    command.set_defaults(run=_batch)


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


def _batch(options: argparse.Namespace) -> int:
    from threedimo_server.batch import BatchOptions, make_batch

    _stop_on_sigterm()
    result = make_batch(BatchOptions(options.shots, options.output), server=options.server)
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
            num_inference_steps=options.steps,
            seed=options.seed,
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
            num_inference_steps=options.steps,
            seed=options.seed,
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
