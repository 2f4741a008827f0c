from __future__ import annotations

from threedimo_training.finetuning.finetune import finetune


def test_runs(options):
    lines = []
    assert finetune(options, lines.append)
    print(lines)
