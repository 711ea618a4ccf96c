"""A CDS service as it is announced, and as it answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from fhir_mappings.orders import OrderCodes
from hooks.call import Call
from hooks.contract import Card
from hooks.json_rules import present
from hooks.request import HookRequest


@dataclass(frozen=True)
class Service:
    """One CDS service: how it is announced, which calls it answers, and with what.

    `concerns(request, order_codes)` tells without any I/O whether a call deserves an answer, and raises ContractError
    for a context that lacks what the hook requires. `answer(call)` makes the cards, those too that are withheld.
    """

    id: str
    hook: str
    title: str
    description: str
    prefetch: Mapping[str, str]
    concerns: Callable[[HookRequest, OrderCodes], bool]
    answer: Callable[[Call], tuple[Card, ...]]
    usage_requirements: str = ""

    def to_json(self) -> dict[str, object]:
        """The service's entry in the discovery answer."""
        return present(
            hook=self.hook,
            title=self.title,
            description=self.description,
            id=self.id,
            prefetch=dict(self.prefetch),
            usageRequirements=self.usage_requirements,
        )


def discovery(services: Iterable[Service]) -> dict[str, object]:
    """The answer to `GET /cds-services`."""
    return {"services": [service.to_json() for service in services]}
