"""Tests of the plan and of the simulated year."""
