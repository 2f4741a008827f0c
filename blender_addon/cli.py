# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line: `blender -b shot.blend --command threedimo queue`, for scripts and render farms.

Every command works on the file that is open, and saves it where it changed, for its records are what finds
the takes again. The exit status is 0, or the error's own as everywhere in 3DiMo.
"""

import argparse
import json
import sys
import uuid
from contextlib import AbstractContextManager, nullcontext

import bpy

from threedimo.errors import InvalidRequest, ThreeDimoError

from . import dispatch, runtime, take_records, waiting
from .batch import batch_scenes
from .jobs import Job

_registered = None


def main(arguments: list[str]) -> int:
    """Run a command and give its exit status."""
    parser = _parser()
    try:
        options = parser.parse_args(arguments)
    except SystemExit as end:  # argparse has said what is wrong, or has shown its help
        return end.code if isinstance(end.code, int) else 2
    try:
        return options.run(options)
    except ThreeDimoError as error:
        print(f"{error.code}: {error}", file=sys.stderr)
        return error.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="blender -b FILE.blend --command threedimo",
        description="Send the shots of a file to the 3DiMo server, and place what it made.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    generate = commands.add_parser("generate", help="send a scene's frame range as one shot and wait for it")
    generate.add_argument("--scene", metavar="NAME", help="instead of the file's active scene")
    generate.set_defaults(run=_generate)
    queue = commands.add_parser("queue", help="send all shots of the scenes that are ticked in the panel")
    queue.add_argument(
        "--scene", metavar="NAME", action="append", help="these scenes instead; may be given several times"
    )
    queue.add_argument("--wait", action="store_true", help="wait until all frames are placed")
    queue.set_defaults(run=_queue)
    collect = commands.add_parser("collect", help="wait for the shots that were queued, and place them")
    collect.set_defaults(run=_collect)
    takes = commands.add_parser("takes", help="list the takes of the file, one JSON object a line")
    takes.set_defaults(run=_takes)
    return parser


def _generate(options: argparse.Namespace) -> int:
    _require_file()
    waiting.wait_for_server()
    scene = batch_scenes([options.scene])[0] if options.scene else bpy.context.scene
    with _window():
        job = dispatch.generate(scene, str(uuid.uuid4()))
    return _wait_and_save([job])


def _queue(options: argparse.Namespace) -> int:
    _require_file()
    waiting.wait_for_server()
    with _window():
        jobs = dispatch.queue_batch(batch_scenes(options.scene or []))
    return _wait_and_save(jobs, sent=not options.wait)


def _collect(_: argparse.Namespace) -> int:
    _require_file()
    return _wait_and_save(runtime.reattach(again=True))


def _takes(_: argparse.Namespace) -> int:
    for scene, shot, take in take_records.all_takes():
        row = {
            "scene": scene.name,
            "shot": shot.name,
            "frame_start": shot.frame_start,
            "num_scene_frames": shot.num_scene_frames,
            "take": take.number,
            "job_id": take.job_id,
            "state": take.state,
            "shown": shot.shown == take.job_id,
            "chosen": shot.chosen == take.job_id,
            "seed": take.seed,
            "model_id": take.model_id,
            "made_as": take.made_as,
            "queued_at": take.queued_at,
            "text": take.text,
            "camera_hash": take.camera_hash,
            "folder": str(take_records.take_folder(take)),
            "message": take.message,
        }
        print(json.dumps(row))
    return 0


def _window() -> AbstractContextManager[object]:
    """Blender gives a command no window, and crashes without one where a temporary scene is removed."""
    windows = bpy.context.window_manager.windows
    return bpy.context.temp_override(window=windows[0]) if windows else nullcontext()


def _wait_and_save(jobs: list[Job], *, sent: bool = False) -> int:
    # Before the wait too: whatever happens then, the file knows its jobs.
    bpy.ops.wm.save_mainfile()
    try:
        waiting.wait_for_jobs(jobs, sent=sent)
    finally:
        bpy.ops.wm.save_mainfile()
    failed = [job for job in jobs if job.error is not None]
    for job in jobs:
        print(f"{job.job_id} {job.label}: {job.state}" + (f": {job.error}" if job.error else ""))
    return failed[0].error.exit_code if failed else 0


def _require_file() -> None:
    if not bpy.data.is_saved:
        raise InvalidRequest(
            "no file is open",
            remedy="name it before --command: blender -b FILE.blend --command threedimo ...",
        )


def register() -> None:
    """Add the command."""
    global _registered
    _registered = bpy.utils.register_cli_command("threedimo", main)


def unregister() -> None:
    """Remove the command."""
    bpy.utils.unregister_cli_command(_registered)
