"""The page of a card as an EHR opens it by itself: SMART App Launch 2.2, EHR launch, authorization code with PKCE."""
