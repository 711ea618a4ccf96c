"""The site's own evidence: studies over its scores and what became of its patients. Needs the extra `study`."""
