"""A real server whose workers run tiny_worker.py, or the real worker with the option "real_worker".

python serve_tiny.py HOME '[{"field of ModelChoice": ...}]' '{"field of ServerConfig": ...}'
"""

import json
import sys
from pathlib import Path

import msgspec

from threedimo.wire.messages import Limits
from threedimo_server.config import WORKER_COMMAND, ServerConfig
from threedimo_server.front import run_server
from threedimo_server.served_models import ModelChoice

home, options = Path(sys.argv[1]), json.loads(sys.argv[3])
models = msgspec.json.decode(sys.argv[2], type=tuple[ModelChoice, ...])
limits = msgspec.convert(options.pop("limits", {}), Limits)
devices = tuple(options.pop("devices", ["cpu"]))
tiny_worker = (sys.executable, str(Path(__file__).with_name("tiny_worker.py")))
worker = WORKER_COMMAND if options.pop("real_worker", False) else tiny_worker
options.setdefault("reserve_bytes", 0)
config = ServerConfig(
    home=home, models=models, devices=devices, limits=limits, worker_command=worker, **options
)
sys.exit(run_server(config))
