"""FHIR and CDS Hooks JSON to our domain types and back. No I/O, no torch."""
