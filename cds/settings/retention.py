"""How long what may go is kept."""

from __future__ import annotations

from pydantic import Field

from cds.settings.fields import Section


class RetentionSettings(Section):
    """Days after which the night clears rows away; None keeps them for ever.

    The audit trail, exams, the reasons of refusals, scores and assessments always stay.
    """

    cards_days: int | None = Field(default=None, ge=30)
    """Cards without feedback: links to their pages have ended by then."""
    answered_cards_days: int | None = Field(default=None, ge=365)
    """Cards with feedback, and the feedback: counted from the last of it."""
    letters_days: int | None = Field(default=None, ge=30)
    """Deliveries of assessments in whose place a newer one has arrived since."""
    runs_days: int | None = Field(default=None, ge=30)
    """What each run over the site came to."""
    arrivals_days: int | None = Field(default=None, ge=30)
    """Studies that an archive listed as new and that were acted on."""
