"""What a page says of the study behind the service: group medians, and never more than that.

Lehman et al., Radiology 2026, doi 10.1148/radiol.253023, as its abstract reports them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class GroupMedians:
    """Between which two per cents the median five-year scores of one group of the study lie."""

    name: str
    women: str
    lowest: float
    highest: float

    @property
    def words(self) -> str:
        """The group with its medians."""
        return f"{self.women}: {self.lowest} % to {self.highest} %"


UNDIAGNOSED = GroupMedians("undiagnosed", "women without a diagnosis of breast cancer", 1.8, 2.2)
DIAGNOSED = GroupMedians(
    "diagnosed", "women diagnosed later, from five to six years before to their last exam", 2.1, 6.6
)
CAUTION = (
    "They are medians of whole groups, put together backwards from the diagnosis: they say nothing about one woman "
    "and are no reference range. The study used the published Mirai model; another model need not share its scale."
)
