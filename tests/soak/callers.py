"""The hospitals at work, each in a thread: it calls, holds every answer against the truth, and reports on cards."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.client import HTTPException
from itertools import count
from threading import Event, Lock
from time import sleep

from tests.cds.builders import Json
from tests.soak.calls import Answer, HookCall, Line, hook_call, user
from tests.soak.hospitals import Hospital
from tests.soak.truth import lacking, strange
from tests.soak.women import Woman

ALLOWED = frozenset({200, 412, 429, 503})
REFUSED = frozenset({401, 403})
PAUSE_S = 0.1
HASTY = 2
"""The number of a hospital that never pauses."""
MOST_KEPT = 50


@dataclass
class Report:
    """Feedback as it was sent; `answered` once the service has said that it has it."""

    hospital: Hospital
    woman: Woman
    path: str
    body: Json
    answered: bool = False

    @property
    def card(self) -> str:
        """The uuid of its card."""
        return str(self.body["card"])

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from every other."""
        return self.card, str(self.body["outcomeTimestamp"])


@dataclass
class Findings:
    """What all hospitals have seen, together. `problems` are sentences; none, and all is well."""

    calls: Counter[tuple[str, int]] = field(default_factory=Counter)
    took_s: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    cards: dict[str, tuple[Hospital, Woman]] = field(default_factory=dict)
    samples: list[tuple[Json, Hospital, Woman]] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    reports: list[Report] = field(default_factory=list)
    hung_up: Counter[str] = field(default_factory=Counter)
    problems: Counter[str] = field(default_factory=Counter)
    lock: Lock = field(default_factory=Lock)

    def tell(self, problem: str) -> None:
        """Note a problem, once in words and then as a number."""
        with self.lock:
            if problem in self.problems or len(self.problems) < MOST_KEPT:
                self.problems[problem] += 1

    def keep(self, card: Json, hospital: Hospital, woman: Woman) -> None:
        """Note a card that was shown, and keep some as they were."""
        with self.lock:
            self.cards[card["uuid"]] = (hospital, woman)
            self.kinds[_kind(card)] += 1
            if self.kinds[_kind(card)] <= MOST_KEPT:
                self.samples.append((card, hospital, woman))

    def count(self, what: str, answer: Answer) -> None:
        """Note an answer and how long it took."""
        with self.lock:
            self.calls[what, answer.status] += 1
            self.took_s[what].append(answer.took_s)


class Caller:
    """One hospital, which calls until it is over."""

    def __init__(self, hospital: Hospital, others: Sequence[Hospital], port: int, seed: int, found: Findings) -> None:
        self._hospital = hospital
        self._others = [other for other in others if other is not hospital]
        self._chance = random.Random(seed)  # noqa: S311 # no secret
        self._line = Line(port, hospital, self._chance)
        self._found, self._moments = found, count(1)

    def run(self, over: Event) -> None:
        """Call again and again; a call without an answer is a problem."""
        while not over.is_set():
            try:
                (turn,) = self._chance.choices((self._call, self._call_in_bad_faith, self._report_again), (30, 1, 3))
                turn()
            except (OSError, HTTPException) as error:
                self._found.tell(f"a call was not answered: {type(error).__name__}")
                self._line.close()
            sleep(0 if self._hospital.number == HASTY else self._chance.uniform(0, PAUSE_S))
        self._line.close()

    def report_what_is_open(self) -> None:
        """Send every report that nobody has answered yet, as an EHR does whose connection was lost."""
        for report in self._mine():
            if not report.answered:
                self._send(report)
        self._line.close()

    def _call(self) -> None:
        call = hook_call(self._hospital, self._chance)
        if self._chance.random() < 0.02:
            self._found.hung_up["hook call"] += 1
            self._line.post_and_hang_up(call.path, call.body)
            return
        answer = self._line.post(call.path, call.body)
        self._found.count(f"hook, {call.brings} prefetched", answer)
        if answer.status not in ALLOWED or (answer.status == 412 and call.brings == "all"):
            self._found.tell(f"a call with {call.brings} of its prefetch was answered {answer.status}")
        if answer.status == 200:
            self._take(call, answer.body["cards"])

    def _take(self, call: HookCall, cards: list[Json]) -> None:
        wrong = strange(cards, call.woman, user(self._hospital))
        # With patient-view nothing may be new; a silent hospital gets no card at all.
        if call.brings == "all" and call.service != "patient-view" and not self._hospital.is_silent:
            wrong += lacking(cards, call.woman)
        if self._hospital.is_silent and cards:
            wrong.append("a silent hospital got a card")
        for problem in wrong:
            self._found.tell(f"{self._hospital.name}, {call.woman.id}, {call.service}: {problem}")
        for card in cards:
            self._found.keep(card, self._hospital, call.woman)
            if self._chance.random() < 0.5:
                self._report(call, card)

    def _report(self, call: HookCall, card: Json) -> None:
        moment = f"2026-01-01T00:00:00.{self._hospital.number:02}{next(self._moments):06}Z"
        body = {"card": card["uuid"], "outcomeTimestamp": moment, **self._outcome(card)}
        report = Report(self._hospital, call.woman, f"{call.path}/feedback", body)
        with self._found.lock:
            self._found.reports.append(report)
        self._send(report)

    def _outcome(self, card: Json) -> Json:
        suggestions = card.get("suggestions", [])
        if suggestions and self._chance.random() < 0.5:
            accepted = [{"id": self._chance.choice(suggestions)["uuid"]}]
            return {"outcome": "accepted", "acceptedSuggestions": accepted}
        reason = {
            "reason": {"code": "patient-declined"},
            "userComment": f"said at {self._hospital.name} of {card['uuid']}",
        }
        return {"outcome": "overridden", "overrideReason": reason}

    def _send(self, report: Report) -> None:
        if self._chance.random() < 0.2:
            self._found.hung_up["feedback"] += 1
            self._line.post_and_hang_up(report.path, {"feedback": [report.body]})
            return
        answer = self._line.post(report.path, {"feedback": [report.body]})
        self._found.count("feedback", answer)
        report.answered = report.answered or answer.status == 200
        if answer.status not in ALLOWED - {412}:
            self._found.tell(f"feedback was answered {answer.status}")

    def _report_again(self) -> None:
        mine = self._mine()
        if mine:
            self._send(self._chance.choice(mine))

    def _mine(self) -> list[Report]:
        with self._found.lock:
            return [report for report in self._found.reports if report.hospital is self._hospital]

    def _call_in_bad_faith(self) -> None:
        """What must be refused or come to nothing: another hospital's name, an old token, another hospital's card."""
        other, call = self._chance.choice(self._others), hook_call(self._hospital, self._chance)
        way = self._chance.choice((self._as_another, self._in_anothers_chart, self._twice, self._about_anothers_card))
        way(call, other)

    def _as_another(self, call: HookCall, other: Hospital) -> None:
        self._refused("another's issuer", call, call.body, self._line.token(call.path, other))

    def _in_anothers_chart(self, call: HookCall, other: Hospital) -> None:
        self._refused("another's server", call, {**call.body, "fhirServer": other.fhir_server}, None)

    def _twice(self, call: HookCall, _other: Hospital) -> None:
        token = self._line.token(call.path)
        answer = self._line.post(call.path, call.body, token)
        self._found.count(f"hook, {call.brings} prefetched", answer)
        if answer.status in {200, 412}:
            self._refused("a token again", call, call.body, token)

    def _about_anothers_card(self, call: HookCall, other: Hospital) -> None:
        with self._found.lock:
            theirs = [uuid for uuid, (whose, _) in self._found.cards.items() if whose is other]
        if theirs:
            moment = f"another-hospital-{self._hospital.number}-{next(self._moments)}"
            body = {"card": self._chance.choice(theirs), "outcome": "overridden", "outcomeTimestamp": moment}
            self._found.count("feedback", self._line.post(f"{call.path}/feedback", {"feedback": [body]}))

    def _refused(self, why: str, call: HookCall, body: Json, token: str | None) -> None:
        answer = self._line.post(call.path, body, token)
        self._found.count("in bad faith", answer)
        if answer.status not in REFUSED | {429, 503} or "cards" in answer.body:
            self._found.tell(f"a call with {why} was answered {answer.status}")


def _kind(card: Json) -> str:
    """What a card comes to, by the words that it begins with."""
    words = str(card["summary"]).removeprefix("Research: ").split()
    return " ".join(words[:2])
