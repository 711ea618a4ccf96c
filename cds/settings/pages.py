"""The settings of the page that a card links to."""

from __future__ import annotations

from pydantic import Field

from cds.settings.secret_values import KeptSecret


class PagesSettings(KeptSecret):
    """The key that signs the links of cards to their page. Without a secret there are no links and no page."""

    link_minutes: int = Field(default=60, ge=1, le=24 * 60)
    """How long a card's link opens its page: for anybody who has the link, so not for long."""
