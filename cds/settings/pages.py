"""The settings of the page that a card links to."""

from __future__ import annotations

from pydantic import Field

from cds.settings.fields import Origin
from cds.settings.secret_values import KeptSecret


class PagesSettings(KeptSecret):
    """The key that signs the links of cards to their page. Without a secret there are no links and no page."""

    link_minutes: int = Field(default=60, ge=1, le=24 * 60)
    """How long a card's link opens its page, for anybody who has the link, and a launch by the EHR its own."""
    frame_ancestors: tuple[Origin, ...] = ()
    """The origins of the EHRs that show the page in a frame, such as `https://ehr.example.org`; without, none may."""
