"""What a GPU takes for an exam: `python -m benchmarks.gpu`."""
