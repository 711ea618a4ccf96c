"""The embedded EHR's resources, in memory."""

from __future__ import annotations

import copy
import threading
import uuid
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

Json = dict[str, Any]


class PreconditionFailed(Exception):
    """The store is not as the write expects it (R4, Conditional create and Managing Resource Contention)."""


class ResourceStore:
    """FHIR resources by type and id, safe for several threads; what goes in and comes out are copies."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._resources: dict[tuple[str, str], Json] = {}
        self._lock = threading.RLock()

    def create(self, resource: Json) -> Json:
        """The resource as stored, under a new id."""
        stored, _ = self.put({**resource, "id": str(uuid.uuid4())})
        return stored

    def create_unless(self, resource: Json, matching: Callable[[Iterable[Json]], Sequence[Json]]) -> tuple[Json, bool]:
        """The resource as stored, or else the one held that matches; and whether it is new.

        Raises PreconditionFailed where several match.
        """
        with self._lock:
            found = matching(self.all(resource["resourceType"]))
            if len(found) > 1:
                raise PreconditionFailed("several resources match the condition")
            return (found[0], False) if found else (self.create(resource), True)

    def put(self, resource: Json, expected: str | None = None) -> tuple[Json, bool]:
        """The resource as stored under its own id, and whether it is new; each put raises its version.

        Raises PreconditionFailed where the version held is not the `expected` one.
        """
        key = (resource["resourceType"], resource["id"])
        with self._lock:
            before = self._resources.get(key)
            if expected is not None and (before is None or before["meta"]["versionId"] != expected):
                raise PreconditionFailed("this is not the version that is held now")
            version = 1 if before is None else int(before["meta"]["versionId"]) + 1
            stored = copy.deepcopy(resource)
            stored["meta"] = self._meta(resource.get("meta"), version)
            self._resources[key] = stored
            return copy.deepcopy(stored), before is None

    def read(self, resource_type: str, resource_id: str) -> Json | None:
        """One resource, None if there is none."""
        with self._lock:
            return copy.deepcopy(self._resources.get((resource_type, resource_id)))

    def all(self, resource_type: str) -> list[Json]:
        """Every resource of a type, in the order in which they were first stored."""
        with self._lock:
            return [copy.deepcopy(resource) for key, resource in self._resources.items() if key[0] == resource_type]

    def _meta(self, given: object, version: int) -> Json:
        moment = self._now().astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        kept = given if isinstance(given, dict) else {}
        return {**kept, "versionId": str(version), "lastUpdated": moment}
