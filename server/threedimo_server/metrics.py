"""What a monitoring system may read: Prometheus text, `threedimo serve --metrics-port N`, on loopback.

Notable: the server's loop leaves a snapshot every few seconds, and a thread of its own answers from it, so
that whoever asks neither waits for the queue nor holds it up. There are numbers only: no labels, no names of
files, nothing that people typed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from threedimo.errors import PortInUse
from threedimo_server.snapshot import Snapshot


class Metrics(Collector):
    """The page of numbers.

    Args:
        port: TCP port on loopback.

    Raises:
        PortInUse: Another program listens there.
    """

    def __init__(self, port: int):
        self._snapshot: Snapshot | None = None
        registry = CollectorRegistry()
        registry.register(self)
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        try:
            self._server, self._thread = start_http_server(port, "127.0.0.1", registry)
        except OSError as error:
            raise PortInUse(
                "another program listens on the port for metrics",
                given=port,
                remedy="choose another --metrics-port",
            ) from error

    def show(self, snapshot: Snapshot) -> None:
        """From now on this is what is read."""
        self._snapshot = snapshot

    def collect(self) -> Iterable[Metric]:
        """What Prometheus asks for."""
        now = self._snapshot
        if now is None:
            return
        yield _gauge("threedimo_jobs", "Jobs that the queue knows", "state", now.jobs)
        yield GaugeMetricFamily(
            "threedimo_oldest_waiting_seconds",
            "For how long the oldest queued job has waited",
            now.oldest_waiting_s,
        )
        workers = GaugeMetricFamily(
            "threedimo_workers", "1 for the state that a worker is in", labels=["device", "state"]
        )
        for device, state in now.workers.items():
            workers.add_metric([device, state], 1)
        yield workers
        yield _gauge("threedimo_clients", "Clients that are connected", "door", now.clients)
        yield GaugeMetricFamily(
            "threedimo_disk_free_bytes", "Free on the disk of queue, inputs and results", now.free_bytes
        )

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _gauge(name: str, meaning: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, meaning, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family
