"""Reading the EHR's FHIR server."""
