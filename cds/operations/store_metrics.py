"""What a monitor reads of the store: cards and what became of them, the queue, nights, speed, how scores lie."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from cds.operations.figures import Operations
from hooks.cards import CardKind
from hooks.contract import Withheld

QUANTILES = {"0.25": "lower", "0.5": "median", "0.75": "upper"}


class StoreMetrics(Collector):
    """What the store holds, asked at each reading: it is the same whichever process is asked."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations

    def collect(self) -> Iterable[Metric]:
        """The families, as prometheus_client asks for them."""
        yield from self._cards()
        yield from self._queue()
        yield from self._last_run()
        yield from self._stages()
        yield from self._spread()
        yield self._drift()

    def _queue(self) -> Iterable[Metric]:
        exams = GaugeMetricFamily(
            "mammotrend_exams", "Exams on their way to a score of the site's model", labels=["state"]
        )
        for state, count in self._operations.errands().items():
            exams.add_metric([state], count)
        refused = GaugeMetricFamily(
            "mammotrend_exams_refused", "Exams that could not be scored, by the first reason", labels=["reason"]
        )
        for reason, count in self._operations.refusals().items():
            refused.add_metric([reason], count)
        letters = GaugeMetricFamily(
            "mammotrend_deliveries", "Assessments on their way to charts and archives", labels=["destination", "state"]
        )
        for labels, count in self._operations.letters().items():
            letters.add_metric(labels, count)
        yield from (exams, refused, letters)
        yield from _moment("oldest_queued", "Since when the next exam waits", self._operations.oldest_queued_at())

    def _last_run(self) -> Iterable[Metric]:
        """Of the last run that came to its end; one that was killed has counted nothing."""
        last = next((run for run in self._operations.runs() if run.finished_at), None)
        if last is None:
            return
        yield from _moment("last_run_started", "When the last whole run over the site began", last.started_at)
        yield from _moment("last_run_ended", "When it ended", last.finished_at)
        exams = GaugeMetricFamily("mammotrend_last_run_exams", "What it came to", labels=["result"])
        refused, failed = sum(last.refused.values()), sum(last.failed.values())
        counts = {"found": last.found, "scored": last.scored, "refused": refused, "failed": failed}
        for result, count in counts.items():
            exams.add_metric([result], count)
        yield exams
        yield GaugeMetricFamily("mammotrend_last_run_written", "Assessments that it wrote", last.written)
        cleared = GaugeMetricFamily("mammotrend_last_run_cleared", "Rows that it cleared away", labels=["kind"])
        for kind, count in last.cleared.items():
            cleared.add_metric([kind], count)
        yield cleared
        yield GaugeMetricFamily(
            "mammotrend_last_run_problems", "What it could not look at, such as an EHR", len(last.problems)
        )

    def _stages(self) -> Iterable[Metric]:
        """Also of what has not happened yet, so that a rate has something to begin with."""
        seconds = CounterMetricFamily(
            "mammotrend_scoring_stage_seconds", "What the stages of scoring took in all workers", labels=["stage"]
        )
        exams = CounterMetricFamily("mammotrend_scoring_stage_exams", "Exams that went through them", labels=["stage"])
        for stage, spent in self._operations.stages().items():
            seconds.add_metric([stage], spent.seconds)
            exams.add_metric([stage], spent.exams)
        return seconds, exams

    def _spread(self) -> Iterable[Metric]:
        labels = ["device", "month"]
        exams = GaugeMetricFamily("mammotrend_scores", "Scored exams, by unit and month of the exam", labels=labels)
        mean = GaugeMetricFamily(
            "mammotrend_score_mean_percent", "Their mean five-year score, in percent", labels=labels
        )
        quantiles = GaugeMetricFamily(
            "mammotrend_score_percent", "Their quartiles, in percent", labels=[*labels, "quantile"]
        )
        for one in self._operations.spread():
            of_group = [one.device, one.month]
            exams.add_metric(of_group, one.exams)
            if one.mean is not None:
                mean.add_metric(of_group, 100 * one.mean)
            for quantile, name in QUANTILES.items():
                if (value := getattr(one, name)) is not None:
                    quantiles.add_metric([*of_group, quantile], 100 * value)
        return exams, mean, quantiles

    def _drift(self) -> Metric:
        """Missing for a unit with too few exams: nobody can say."""
        told = "1 where the medians of two of the last three months have left the range of the nine months before"
        alarm = GaugeMetricFamily("mammotrend_drift_alarm", told, labels=["device"])
        for one in self._operations.drift():
            alarm.add_metric([one.device], int(one.is_alarm))
        return alarm

    def _cards(self) -> Iterable[Metric]:
        """As gauges: the store clears cards away, and a counter that falls would be counted anew by Prometheus."""
        cards = GaugeMetricFamily("mammotrend_cards", "Cards, by kind and why withheld", labels=["kind", "withheld"])
        accepted = GaugeMetricFamily("mammotrend_cards_accepted", "Cards that were accepted", labels=["kind"])
        overridden = GaugeMetricFamily(
            "mammotrend_cards_overridden", "Cards that were overridden, by reason", labels=["kind", "reason"]
        )
        missed = 0
        for kind, count in self._operations.cards().items():
            cards.add_metric([kind, ""], count.shown)
            accepted.add_metric([kind], count.accepted)
            for why, withheld in count.withheld.items():
                cards.add_metric([kind, why], withheld)
            for reason, times in count.reasons.items():
                overridden.add_metric([kind, reason], times)
            if kind == CardKind.UNDER_WAY:
                # A silent EHR's call waits for nothing, so it cannot wait in vain.
                missed = count.shown + count.withheld.total() - count.withheld[Withheld.SILENT]
        told = "Answers that said 'under way' after waiting for the score as long as answer_budget_s allows"
        return cards, accepted, overridden, GaugeMetricFamily("mammotrend_budget_misses", told, missed)


def _moment(name: str, said: str, moment: datetime | None) -> Iterable[Metric]:
    """A gauge of Unix seconds, as Prometheus has moments: their age is `time()` less them."""
    if moment is not None:
        yield GaugeMetricFamily(f"mammotrend_{name}_timestamp_seconds", said, moment.timestamp())
