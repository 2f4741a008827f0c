"""`threedimo-train finetune` that saves after every step, for tests that end it in the middle."""

from __future__ import annotations

import sys

import threedimo_training.trainer.loop
from threedimo_training.cli import main

if __name__ == "__main__":
    threedimo_training.trainer.loop.SAVE_SECONDS = 0.0
    sys.exit(main(sys.argv[1:]))
