"""What every service asks the EHR to send along, and what it says of the rest."""

from __future__ import annotations

# All that R4 knows but laboratory, vital-signs, therapy and activity, which are many and hold none of what is asked:
# pregnancy (social-history in US Core), BI-RADS categories (imaging, exam, procedure), answers to questions (survey).
OBSERVATION_CATEGORIES = ("imaging", "exam", "procedure", "survey", "social-history")

# Only reads and searches of the restricted subset, only context tokens (CDS Hooks 2.0.1, Prefetch query restrictions).
# A template knows no today(), so MRI orders come newest first and the policy looks at their dates.
PREFETCH = {
    "patient": "Patient/{{context.patientId}}",
    "mammograms": "ImagingStudy?patient={{context.patientId}}&modality=MG&_sort=-started&_count=20",
    "conditions": "Condition?patient={{context.patientId}}&_count=100",
    "procedures": "Procedure?patient={{context.patientId}}&_count=100",
    "orders": "ServiceRequest?patient={{context.patientId}}&_sort=-authored&_count=50",
    "allergies": "AllergyIntolerance?patient={{context.patientId}}&_count=100",
    # By category: some EHRs answer no search of Observation without one, and without one there are thousands.
    "observations": (
        "Observation?patient={{context.patientId}}"
        f"&category={','.join(OBSERVATION_CATEGORIES)}&_sort=-date&_count=100"
    ),
}

USAGE = (
    "Answers from scores that are stored already; an exam without one is queued, and the card says so. What the "
    "prefetch lacks is read from fhirServer with the access token of the call."
)
