"""How a server runs, as one frozen value."""

from __future__ import annotations

import ipaddress
import sys
from dataclasses import dataclass, field
from pathlib import Path

from threedimo.errors import ServerError
from threedimo.model_info import ATTENTION_KERNELS, AUTO_PLAN, MEMORY_PLANS, NATIVE_ATTENTION
from threedimo.wire.messages import Limits
from threedimo_server.served_models import ModelChoice

MAX_RETRY_S = 900.0
MAX_MODELS = 64
"""As many as `Capabilities` can list."""
WORKER_COMMAND = (sys.executable, "-m", "threedimo_server.worker")


@dataclass(frozen=True)
class ServerConfig:
    """Everything that a server is told when it starts.

    Args:
        home: Folder of the queue, assets, results, logs and the connection file. Made if missing.
        models: What shots are made with. Workers begin with the first and change as jobs ask for it.
        devices: One worker process is started for each, for example ("cuda:0", "cuda:1"); "auto" picks one.
        memory: How the model fits into a device's memory: "auto", or one of `MEMORY_PLANS`.
        attention: One of `ATTENTION_KERNELS`; workers say whether it can be had.
        compiled: Whether workers compile their models.
        host: IPv4 address to listen on, 0.0.0.0 for all of this machine's. Any but loopback needs keys; see
            `threedimo_server.gate`.
        control_port: TCP port of the control socket, or None for any free one.
        data_port: TCP port of the data socket, or None for any free one.
        metrics_port: TCP port on loopback where `threedimo_server.metrics` answers, or None.
        limits: What clients may send; announced to them.
        keep_days: Finished jobs, their results and unused assets older than this are deleted; None keeps all.
        keep_bytes: When finished results together are larger, the oldest are deleted; None keeps all.
        reserve_bytes: Uploads and jobs are refused when they would leave less free disk than this.
        worker_silence_s: A worker without a heartbeat for this long is killed and its job queued again.
        retry_failed_s: A worker that could not load the model tries again after this long, the next time
            after twice as long, and so on up to `MAX_RETRY_S`.
        cancel_grace_s: A worker that works on for this long after a cancel is killed.
        client_silence_s: A connection that says nothing for this long must say hello again.
        front_memory_bytes: When the front has grown by more than this, it closes every connection; see
            `threedimo_server.entrance`.
        worker_command: Program of a worker. It is given `--link`, `--name`, and the options of its
            `DeviceUse` and of the first model.

    Raises:
        ServerError: An address, port, device or number is not possible.
    """

    home: Path
    models: tuple[ModelChoice, ...] = (ModelChoice(),)
    devices: tuple[str, ...] = ("auto",)
    memory: str = AUTO_PLAN
    attention: str = NATIVE_ATTENTION
    compiled: bool = False
    host: str = "127.0.0.1"
    control_port: int | None = None
    data_port: int | None = None
    metrics_port: int | None = None
    limits: Limits = field(default_factory=Limits)
    keep_days: float | None = None
    keep_bytes: int | None = None
    reserve_bytes: int = 1024**3
    worker_silence_s: float = 30.0
    retry_failed_s: float = 60.0
    cancel_grace_s: float = 30.0
    client_silence_s: float = 600.0
    front_memory_bytes: int = 1024**3
    worker_command: tuple[str, ...] = WORKER_COMMAND

    def __post_init__(self) -> None:
        self._require_address()
        self._require_ports()
        if not 1 <= len(self.models) <= MAX_MODELS:
            raise ServerError(
                "a server needs something to make shots with",
                given=f"{len(self.models)} models",
                allowed=f"1 to {MAX_MODELS}",
            )
        if not self.devices or len(set(self.devices)) != len(self.devices):
            raise ServerError(
                "the devices must be named, each once",
                given=self.devices,
                allowed='for example "cuda:0", "cpu"',
            )
        if self.memory not in (AUTO_PLAN, *MEMORY_PLANS):
            raise ServerError(
                "there is no such memory plan",
                given=self.memory,
                allowed=", ".join((AUTO_PLAN, *MEMORY_PLANS)),
            )
        if self.attention not in ATTENTION_KERNELS:
            raise ServerError(
                "there is no such attention kernel",
                given=self.attention,
                allowed=", ".join(ATTENTION_KERNELS),
            )
        if self.keep_days is not None and not self.keep_days > 0:
            raise ServerError(
                "results must be kept for some time", given=self.keep_days, allowed="more than 0 days"
            )
        if self.keep_bytes is not None and not self.keep_bytes > 0:
            raise ServerError(
                "results must have some room", given=self.keep_bytes, allowed="more than 0 bytes"
            )
        for name in ("worker_silence_s", "retry_failed_s", "cancel_grace_s", "client_silence_s"):
            if not getattr(self, name) > 0:
                raise ServerError(
                    f"{name} must be positive", given=getattr(self, name), allowed="seconds above 0"
                )

    @property
    def on_loopback(self) -> bool:
        """Whether only programs of this machine can connect."""
        return ipaddress.IPv4Address(self.host).is_loopback

    def _require_address(self) -> None:
        try:
            ipaddress.IPv4Address(self.host)
        except ValueError as error:
            raise ServerError(
                "this is no address to listen on",
                given=self.host,
                allowed="an IPv4 address of this machine, for example 127.0.0.1, or 0.0.0.0 for all of them",
            ) from error

    def _require_ports(self) -> None:
        wanted = (self.control_port, self.data_port, self.metrics_port)
        ports = [port for port in wanted if port is not None]
        for port in ports:
            if not 1 <= port <= 65535:
                raise ServerError("not a TCP port", given=port, allowed="1 to 65535")
        if len(set(ports)) != len(ports):
            raise ServerError(
                "control, data and metrics need a port each", given=ports, allowed="different ports"
            )
