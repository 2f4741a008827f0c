"""One clip's tokens spread over two processes give what one process gives."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from safetensors.torch import load_file, save_file

NUM_PROCESSES = 2


def _transformer() -> torch.nn.Module:
    from threedimo.models import MotionWanTransformer3DModel

    torch.manual_seed(0)
    transformer = MotionWanTransformer3DModel(
        patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=12, in_channels=4, out_channels=4,
        text_dim=16, freq_dim=16, ffn_dim=32, num_layers=2, rope_max_seq_len=32, motion_dim=16,
        motion_inner_dim=16, motion_num_heads=2,
    ).eval()  # fmt: skip
    for block in transformer.blocks:
        torch.nn.init.normal_(block.motion_attn.out.weight)
    return transformer


@torch.no_grad()
def _forward(transformer: torch.nn.Module) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    return transformer(
        normal(1, 4, 3, 4, 4),
        torch.full((1, 12), 500.0),
        normal(1, 6, 16),
        motion_tokens=normal(1, 9, 3, 16),
        camera_tokens=normal(1, 9, 1, 16),
        return_dict=False,  # the library gathers tensors and tuples only
    )[0]


def _one_of_two(rank: int, port: int, folder: Path) -> None:
    from diffusers import ContextParallelConfig

    torch.set_num_threads(1)
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    dist.init_process_group("gloo", rank=rank, world_size=NUM_PROCESSES)
    transformer = _transformer()
    # The library divides by the number of accelerators, of which a CPU has none.
    with patch("torch.accelerator.device_count", return_value=NUM_PROCESSES):
        transformer.enable_parallelism(config=ContextParallelConfig(ulysses_degree=NUM_PROCESSES))
        save_file({"velocity": _forward(transformer).contiguous()}, folder / f"{rank}.safetensors")
    dist.barrier()
    dist.destroy_process_group()
    # The group's threads can outlive it, and torch then aborts while it is unloaded: seen once.
    os._exit(0)


# The library calls a collective that this version of torch renames.
@pytest.mark.filterwarnings("ignore:`torch.distributed:FutureWarning")
def test_two_processes_agree_with_one(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    mp.start_processes(_one_of_two, (port, tmp_path), nprocs=NUM_PROCESSES, start_method="spawn")
    alone = _forward(_transformer())
    for rank in range(NUM_PROCESSES):
        together = load_file(tmp_path / f"{rank}.safetensors")["velocity"]
        torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)
