"""Trust in callers: whose call it is, by the signed token that it brings (CDS Hooks 2.0.1, Trusting CDS Clients)."""
