"""Frames a second of both renderers: python training/benchmarks/rendering.py [--device cuda].

Without a device, the CPU renderer runs in as many threads as there are cores; with one, the torch renderer
renders batches of clips there, poses and cameras coming from the CPU, frames staying on the device. Skinning,
shadows and shading are included; making people and motions is not.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from threedimo_training.motion.planting import place
from threedimo_training.motion.procedural import procedural_motion
from threedimo_training.people.looks import make_person
from threedimo_training.renderers.cpu import CpuRenderer
from threedimo_training.renderers.renderer import Shot
from threedimo_training.renderers.scene import make_scene

SIZES = (64, 128, 256)
NUM_FRAMES = 17
_FPS = 12.0
_LEAST_S = 3.0


def main() -> None:
    """Measure and write a table."""
    parser = argparse.ArgumentParser(description="Frames a second of both renderers.")
    parser.add_argument(
        "--device", help="torch device, for example cuda or cpu; without it, the CPU renderer"
    )
    parser.add_argument(
        "--clips", type=int, default=8, help="different clips to film, all in one torch batch"
    )
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of the CPU renderer")
    options = parser.parse_args()
    shots = [_shot(seed) for seed in range(options.clips)]
    faces = [len(shot.person.faces) for shot in shots]
    name = (
        f"torch renderer on {options.device}"
        if options.device
        else f"CPU renderer, {options.threads} threads"
    )
    sys.stdout.write(
        f"{name}; {len(shots)} clips of {NUM_FRAMES} frames, {min(faces)} to {max(faces)} faces\n"
    )
    for size in SIZES:
        filmed = [_with_lens(shot, size) for shot in shots]
        film = _torch_film(options.device) if options.device else _cpu_film(options.threads)
        film(filmed, size)  # compiles, allocates
        start, rounds = time.perf_counter(), 0
        while time.perf_counter() - start < _LEAST_S:
            film(filmed, size)
            rounds += 1
        rate = rounds * len(shots) * NUM_FRAMES / (time.perf_counter() - start)
        sys.stdout.write(f"{size:4d} px  {rate:9.1f} frames/s\n")


def _shot(seed: int) -> Shot:
    """A person who performs, filmed from a quarter circle; fills most of a square picture."""
    person = make_person(seed)
    posed = place(procedural_motion(seed, NUM_FRAMES, _FPS), person)
    angle = seed + np.linspace(0, np.pi / 2, NUM_FRAMES)
    outward = np.stack([np.cos(angle), np.sin(angle), np.full(NUM_FRAMES, 0.15)], axis=-1)
    middle = posed.positions[:, 0]
    cameras = np.tile(np.eye(4), (NUM_FRAMES, 1, 1))
    for frame, direction in enumerate(outward):
        forward = -direction / np.linalg.norm(direction)
        right = np.cross(forward, [0.0, 0.0, 1.0])
        right /= np.linalg.norm(right)
        cameras[frame, :3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
        cameras[frame, :3, 3] = middle[frame] + 1.6 * person.height_m * direction
    return Shot(person, posed, make_scene(seed), cameras, np.tile(np.eye(3), (NUM_FRAMES, 1, 1)))


def _with_lens(shot: Shot, size: int) -> Shot:
    lens = np.array([[1.3 * size, 0, size / 2], [0, 1.3 * size, size / 2], [0, 0, 1]])
    lenses = np.tile(lens, (shot.num_frames, 1, 1))
    return Shot(shot.person, shot.posed, shot.scene, shot.world_from_camera, lenses)


def _cpu_film(threads: int) -> Callable[[list[Shot], int], None]:
    renderer, pool = CpuRenderer(), ThreadPoolExecutor(threads)

    def film(shots: list[Shot], size: int) -> None:
        def one(shot: Shot) -> None:
            renderer.render(
                shot.person, shot.posed, shot.scene, shot.world_from_camera, shot.intrinsics, size, size
            )

        list(pool.map(one, shots))

    return film


def _torch_film(device: str) -> Callable[[list[Shot], int], None]:
    import torch

    from threedimo_training.renderers.torch_renderer import TorchRenderer

    renderer = TorchRenderer(device)

    def film(shots: list[Shot], size: int) -> None:
        made = renderer.render_shots(shots, size, size)
        if made.frames.is_cuda:
            torch.cuda.synchronize(made.frames.device)

    return film


if __name__ == "__main__":
    main()
