"""What the benchmarks' figures are made into; nothing is measured here."""
