"""The settings of the page that a card links to."""

from __future__ import annotations

import re

from pydantic import Field, field_validator

from cds.settings.fields import ServerRoot
from cds.settings.secret_values import KeptSecret


class PagesSettings(KeptSecret):
    """The key that signs the links of cards to their page. Without a secret there are no links and no page."""

    link_minutes: int = Field(default=60, ge=1, le=24 * 60)
    """How long a card's link opens its page, for anybody who has the link, and a launch by the EHR its own."""
    frame_ancestors: tuple[ServerRoot, ...] = ()
    """The origins of the EHRs that show the page in a frame, such as `https://ehr.example.org`; without, none may."""

    @field_validator("frame_ancestors")
    @classmethod
    def _are_origins(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        # A path would be ignored by some browsers and change what is meant in others; a quote would end the policy.
        if any(not re.fullmatch(r"https?://[A-Za-z0-9.:\[\]-]+", value) for value in values):
            raise ValueError("must be origins, such as https://ehr.example.org, without a path")
        return values
