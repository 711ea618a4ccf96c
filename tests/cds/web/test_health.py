"""Is the process alive."""

from __future__ import annotations

from cds.errors import MammoTrendError
from tests.cds.web.conftest import Service
from tests.cds.web.test_errors import FailingStore


def test_the_process_says_that_it_is_alive_without_looking_at_anything(service: Service) -> None:
    service.store = FailingStore(MammoTrendError("must not be asked"))

    answer = service.client().get("/healthz")

    assert (answer.status_code, answer.json) == (200, {"status": "alive"})
    assert service.ehr.tokens == []
