"""The metrics of a server for Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from ..lazy import require
from ..types import Ranking
from .rerank_reply import Tokens, window_counts

SECONDS = (0.01, 0.03, 0.1, 0.3, 1.0, 2.5, 5.0, 10.0, 25.0, 60.0, 120.0, 300.0)
"""Upper bounds of the histogram of seconds: clients give up after 5, 30, 60 and 300."""


class ServerMetrics:
    """Counts requests and what they cost; `page` is the text for Prometheus, of `media_type`.

    One registry for each server.
    """

    def __init__(
        self, *, in_flight: Callable[[], int], waiting: Callable[[], int], ready: Callable[[], bool]
    ) -> None:
        prometheus = require("prometheus_client", "the server's metrics")
        self.media_type: str = prometheus.CONTENT_TYPE_LATEST
        self.registry = prometheus.CollectorRegistry()
        prometheus.ProcessCollector(registry=self.registry)
        counter, gauge, registry = prometheus.Counter, prometheus.Gauge, self.registry
        self._requests = counter(
            "reasonrank_requests", "Requests for a reranking.", ["shape", "status"], registry=registry
        )
        self._seconds = prometheus.Histogram(
            "reasonrank_request_seconds", "Seconds until a request was answered.", ["shape"],
            buckets=SECONDS, registry=registry,
        )  # fmt: skip
        self._documents = counter(
            "reasonrank_documents", "Documents of answered requests.", registry=registry
        )
        self._tokens = counter(
            "reasonrank_tokens",
            "Tokens of judged windows, those of the journal included.",
            ["kind"],
            registry=registry,
        )
        self._windows = counter(
            "reasonrank_windows", "Windows of answered requests.", ["kind"], registry=registry
        )
        self._cut = counter("reasonrank_cut_short", "Answers at the deadline.", registry=registry)
        for name, text, value in (
            ("reasonrank_requests_in_flight", "Requests under way.", in_flight),
            ("reasonrank_requests_waiting", "Requests under way beyond what the engine takes.", waiting),
            ("reasonrank_ready", "Whether the engine serves.", ready),
        ):
            gauge(name, text, registry=registry).set_function(value)

    def answered(self, ranking: Ranking) -> None:
        """Count a ranking and what it cost."""
        tokens = Tokens.of(ranking)
        self._documents.inc(len(ranking.candidates))
        self._tokens.labels("prompt").inc(tokens.read)
        self._tokens.labels("completion").inc(tokens.written)
        self._cut.inc(ranking.cut_short)
        for kind, count in window_counts(ranking.steps).items():
            self._windows.labels(kind).inc(count)

    def finished(self, shape: str, status: int, seconds: float) -> None:
        """Count a request, whatever became of it."""
        self._requests.labels(shape, status).inc()
        self._seconds.labels(shape).observe(seconds)

    def page(self) -> bytes:
        """All figures in Prometheus' text format."""
        text: bytes = require("prometheus_client", "the server's metrics").generate_latest(self.registry)
        return text
