"""Renders stick people: `render.py FOLDER CLIPS DRAW`. A process of its own, so that it may be killed."""

import sys
from pathlib import Path

import stick_people

from threedimo_training.shards.progress import RenderProgress
from threedimo_training.shards.render_job import render_shards

if __name__ == "__main__":
    folder, clips, name = sys.argv[1:]
    with RenderProgress() as progress:
        render_shards(
            clips=int(clips), size=32, num_frames=5, fps=8.0, seed=3, output=Path(folder), workers=2,
            roles=("same_view", "moving_camera"), held_out=False, draw=getattr(stick_people, name),
            report=progress, shard_clips=4,
        )  # fmt: skip
