"""From scores to what is concluded of a patient, and its way to the chart and the archive."""
