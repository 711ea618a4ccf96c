"""Tests of the GPU's benchmark, on the CPU with a tiny network: that all of it runs, and what it says."""
