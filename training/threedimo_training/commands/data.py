"""Commands that make and show training data. Heavy imports wait until one runs, so that help is quick."""

from __future__ import annotations

import argparse
import functools
import os
from pathlib import Path
from typing import Any

Commands = Any  # what `argparse` gives for sub-commands has no public name


def add_commands(commands: Commands) -> None:
    """Add `render`, `ingest`, `show`, `card`, `index`, `body` and `demo-inputs`."""
    _add_render(commands)
    _add_ingest(commands)
    _add_show(commands)
    card = commands.add_parser("card", help="write the data card of a folder of shards again")
    card.add_argument("folder", type=Path, metavar="FOLDER", help="folder with shard-*.tar")
    card.set_defaults(run=_card)
    index = commands.add_parser("index", help="write the index of a folder of shards again")
    index.add_argument("folder", type=Path, metavar="FOLDER", help="folder with shard-*.tar")
    index.set_defaults(run=_index)
    _add_body(commands)
    demo = commands.add_parser("demo-inputs", help="render the inputs of `threedimo demo`")
    demo.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="folder to write")
    demo.add_argument("--seed", type=_seed, default=0, metavar="N", help="which sample; default: %(default)s")
    demo.add_argument("--role", default="moving_camera", help="default: %(default)s")
    add_plain_option(demo)
    demo.set_defaults(run=_demo_inputs)


def _add_render(commands: Commands) -> None:
    render = commands.add_parser(
        "render",
        help="render view-rich samples into a folder of shards",
        description="Render view-rich samples: one motion, two people, two cameras, all labels exact. A "
        "killed call goes on where it stopped when it is repeated.",
    )
    render.add_argument(
        "blend",
        type=Path,
        nargs="?",
        metavar="SCENE.blend",
        help="film this file's characters and actions (with --engine blender)",
    )
    render.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="folder of the shards")
    render.add_argument("--clips", type=int, required=True, metavar="N", help="samples in all")
    _add_clip_options(render)
    render.add_argument("--seed", type=_seed, default=0, metavar="K", help="default: %(default)s")
    render.add_argument(
        "--roles",
        nargs="+",
        default=["same_view", "cross_view", "moving_camera"],
        metavar="ROLE",
        help="same_view, cross_view, moving_camera; default: all, in equal numbers",
    )
    render.add_argument(
        "--held-out",
        action="store_true",
        help="people and motions kept for evaluation, not those of training",
    )
    render.add_argument(
        "--workers",
        type=int,
        default=os.cpu_count() or 1,
        metavar="N",
        help="processes; default: %(default)s",
    )
    render.add_argument(
        "--motions", type=Path, metavar="FOLDER", help="perform these BVH and AMASS-style npz recordings"
    )
    add_plain_option(render)
    render.add_argument("--ray", action="store_true", help="render on all machines of a Ray cluster")
    render.add_argument(
        "--engine", choices=("synthetic", "blender"), default="synthetic", help="default: %(default)s"
    )
    blender = render.add_argument_group("with --engine blender")
    blender.add_argument("--blender", metavar="PATH", help="Blender 4.2 or newer, or a Python with bpy")
    blender.add_argument("--cameras", metavar="FILE", help="camera path of the targets; default: random ones")
    blender.add_argument(
        "--blender-engine",
        choices=("workbench", "eevee", "cycles"),
        default="workbench",
        help="default: %(default)s",
    )
    blender.add_argument("--still", action="store_true", help="let people without an action stand still")
    render.set_defaults(run=_render)


def add_plain_option(command: argparse.ArgumentParser) -> None:
    """Add `--plain`, for commands that draw synthetic samples."""
    command.add_argument(
        "--plain",
        action="store_true",
        help="people in single colours in bare places, as the embedded model knows them",
    )


def _add_clip_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--size", type=int, default=128, metavar="S", help="pixels; default: %(default)s")
    command.add_argument(
        "--frames", type=int, default=17, metavar="F", help="of each clip; default: %(default)s"
    )
    command.add_argument("--fps", type=float, default=8.0, metavar="R", help="default: %(default)g")


def _add_ingest(commands: Commands) -> None:
    ingest = commands.add_parser(
        "ingest",
        help="bring your own footage into a folder of shards",
        description="Cut videos into clips with one person kept in frame. A killed call goes on when it is "
        "repeated.",
    )
    ingest.add_argument("videos", type=Path, nargs="+", metavar="VIDEO", help="video files")
    ingest.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="folder of the shards")
    _add_clip_options(ingest)
    ingest.add_argument(
        "--cameras", type=Path, metavar="FILE", help="JSON that maps video names to camera path files"
    )
    ingest.add_argument(
        "--synchronised", action="store_true", help="the videos are views of one performance, in step"
    )
    ingest.add_argument(
        "--people",
        type=_people,
        default="one",
        metavar="WHO",
        help="one: refuse several people; largest; or left,top,right,bottom in pixels; default: %(default)s",
    )
    ingest.add_argument(
        "--captioner",
        metavar="COMMAND",
        help="prints one line about the camera for the contact sheet that is its last argument",
    )
    ingest.set_defaults(run=_ingest)


def _people(text: str) -> str | tuple[float, ...]:
    if text in ("one", "largest"):
        return text
    try:
        left, top, right, bottom = (float(number) for number in text.split(","))
    except ValueError as error:
        allowed = "one, largest, or four numbers as in 100,50,400,700"
        raise argparse.ArgumentTypeError(f"{text!r} says nobody; allowed: {allowed}") from error
    return left, top, right, bottom


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no seed; allowed: 0, 1, 2, ...")
    return int(text)


def _add_show(commands: Commands) -> None:
    show = commands.add_parser("show", help="draw samples and their labels: a contact sheet and a film")
    show.add_argument("shards", type=Path, metavar="SHARD", help="a shard, or a folder of shards")
    show.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="folder to write")
    show.add_argument("--count", type=int, default=24, metavar="N", help="samples; default: %(default)s")
    show.add_argument("--seed", type=_seed, default=0, metavar="K", help="which ones; default: %(default)s")
    show.set_defaults(run=_show)


def _add_body(commands: Commands) -> None:
    body = commands.add_parser("body", help="write a person as a mesh file")
    body.add_argument("--seed", type=_seed, default=0, metavar="N", help="which person; default: %(default)s")
    body.add_argument("--smplx", type=Path, metavar="FILE", help="your own licensed SMPL-H or SMPL-X model")
    body.add_argument("--export", type=Path, required=True, metavar="FILE", help=".glb, .obj or .ply")
    body.set_defaults(run=_body)


def _render(options: argparse.Namespace) -> int:
    from threedimo_training.shards.progress import RenderProgress
    from threedimo_training.shards.render_job import render_shards

    with RenderProgress() as progress:
        render_shards(
            clips=options.clips,
            size=options.size,
            num_frames=options.frames,
            fps=options.fps,
            seed=options.seed,
            output=options.output,
            workers=options.workers,
            roles=options.roles,
            held_out=options.held_out,
            draw=_draw_function(options),
            report=progress,
            use_ray=options.ray,
        )
    print(options.output)
    return 0


def _draw_function(options: argparse.Namespace) -> Any:
    from threedimo.errors import InvalidRequest, InvalidScene

    only_blender = options.blend, options.blender, options.cameras, options.still or None
    if options.engine != "blender" and any(option is not None for option in only_blender):
        raise InvalidRequest(
            "a .blend, --blender, --cameras and --still are for filming with Blender",
            given=f"--engine {options.engine}",
            remedy="add --engine blender, or leave them out",
        )
    if options.engine == "blender" and (options.blend is None or not options.blend.is_file()):
        raise InvalidScene(
            "there is no .blend to film", given=options.blend or "none", remedy="name the file after `render`"
        )
    if options.motions is not None and options.engine == "blender":
        raise InvalidRequest("a .blend has motions of its own", given="--motions with --engine blender")
    if options.plain and options.engine == "blender":
        raise InvalidRequest("a .blend has looks of its own", given="--plain with --engine blender")
    if options.engine == "synthetic":
        from threedimo_training.samples.motions import RecordedMotions
        from threedimo_training.samples.synthetic import draw_synthetic

        choices: dict[str, Any] = {"plain": True} if options.plain else {}
        if options.motions is not None:
            RecordedMotions(options.motions)  # a wrong folder is told before an output folder is begun
            choices["motions"] = str(options.motions.absolute())
        return functools.partial(draw_synthetic, **choices) if choices else draw_synthetic
    from threedimo_training.blender_scenes.drawing import draw_blender_sample

    return functools.partial(
        draw_blender_sample,
        blend=str(options.blend.absolute()),
        blender=options.blender,
        cameras=options.cameras,
        engine=options.blender_engine,
        still=options.still,
    )


def _ingest(options: argparse.Namespace) -> int:
    from threedimo_training.ingest.ingest import ingest
    from threedimo_training.shards.progress import RenderProgress

    with RenderProgress() as progress:
        added = ingest(
            options.videos,
            output=options.output,
            size=options.size,
            num_frames=options.frames,
            fps=options.fps,
            report=progress,
            cameras=options.cameras,
            synchronised=options.synchronised,
            people=options.people,
            captioner=options.captioner,
        )
    print(f"{added} samples added to {options.output}")
    return 0


def _show(options: argparse.Namespace) -> int:
    from threedimo_training.shards.show import show

    for file in show(options.shards, options.output, options.count, options.seed):
        print(file)
    return 0


def _index(options: argparse.Namespace) -> int:
    from threedimo_training.shards.index import index_folder, shard_files
    from threedimo_training.shards.reader import open_shard

    for file in shard_files(options.folder):
        for _ in open_shard(file):
            pass  # a new index must not vouch for what cannot be read
    entries = index_folder(options.folder)
    print(f"{sum(entry.samples for entry in entries)} samples in {len(entries)} shards")
    return 0


def _card(options: argparse.Namespace) -> int:
    from threedimo_training.shards.card import write_card

    print(write_card(options.folder))
    return 0


def _body(options: argparse.Namespace) -> int:
    from threedimo_training.people.export import export_person
    from threedimo_training.people.looks import make_person

    if options.smplx is None:
        person = make_person(options.seed)
    else:
        from threedimo_training.people.smplx_body import load_smplx_person

        person = load_smplx_person(options.smplx, options.seed)
    export_person(person, options.export)
    print(options.export)
    return 0


def _demo_inputs(options: argparse.Namespace) -> int:
    from threedimo_training.samples.demo_inputs import write_demo_inputs

    print(write_demo_inputs(options.output, options.seed, options.role, plain=options.plain))
    return 0
