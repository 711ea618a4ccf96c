"""What a monitor reads of the store: cards and what became of them, exams and letters that wait."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Engine

from cds.store.card_counts import count_cards
from cds.store.queue_counts import count_errands, count_letters


class StoreMetrics(Collector):
    """What the store holds, asked at each reading: it is the same whichever process is asked."""

    def __init__(self, engine: Engine, model: str) -> None:
        self._engine, self._model = engine, model

    def collect(self) -> Iterable[Metric]:
        """The families, as prometheus_client asks for them."""
        yield from self._cards()
        exams = GaugeMetricFamily(
            "mammotrend_exams", "Exams on their way to a score of the site's model", labels=["state"]
        )
        for state, count in count_errands(self._engine, self._model).items():
            exams.add_metric([state], count)
        letters = GaugeMetricFamily(
            "mammotrend_deliveries", "Assessments on their way to charts and archives", labels=["destination", "state"]
        )
        for labels, count in count_letters(self._engine).items():
            letters.add_metric(labels, count)
        yield from (exams, letters)

    def _cards(self) -> Iterable[Metric]:
        cards = CounterMetricFamily("mammotrend_cards", "Cards, by kind and why withheld", labels=["kind", "withheld"])
        accepted = CounterMetricFamily("mammotrend_cards_accepted", "Cards that were accepted", labels=["kind"])
        overridden = CounterMetricFamily(
            "mammotrend_cards_overridden", "Cards that were overridden, by reason", labels=["kind", "reason"]
        )
        for kind, count in count_cards(self._engine).items():
            cards.add_metric([kind, ""], count.shown)
            accepted.add_metric([kind], count.accepted)
            for why, withheld in count.withheld.items():
                cards.add_metric([kind, why], withheld)
            for reason, times in count.reasons.items():
                overridden.add_metric([kind, reason], times)
        return cards, accepted, overridden
