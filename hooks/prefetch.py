"""What every service asks the EHR to send along, and what it says of the rest."""

from __future__ import annotations

# Only reads and searches of the restricted subset, only context tokens (CDS Hooks 2.0.1, Prefetch query restrictions).
# A template knows no today(), so MRI orders come newest first and the policy looks at their dates.
PREFETCH = {
    "patient": "Patient/{{context.patientId}}",
    "mammograms": "ImagingStudy?patient={{context.patientId}}&modality=MG&_sort=-started&_count=20",
    "conditions": "Condition?patient={{context.patientId}}&_count=100",
    "procedures": "Procedure?patient={{context.patientId}}&_count=100",
    "orders": "ServiceRequest?patient={{context.patientId}}&_sort=-authored&_count=50",
    "allergies": "AllergyIntolerance?patient={{context.patientId}}&_count=100",
    # Where pregnancy status (social-history, as US Core has it) and BI-RADS categories (imaging) are kept.
    "observations": "Observation?patient={{context.patientId}}&category=imaging,social-history&_sort=-date&_count=100",
}

USAGE = (
    "Answers from scores that are stored already; an exam without one is queued, and the card says so. What the "
    "prefetch lacks is read from fhirServer with the access token of the call."
)
