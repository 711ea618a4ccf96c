"""What machines a programme needs, from measured costs, and a year simulated on them: makes `docs/scale.md`."""
