"""Pixels to risk, risks to trajectory. Knows nothing of FHIR, the web, a database or the network."""
