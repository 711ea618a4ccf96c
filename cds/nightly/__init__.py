"""Runs over a whole site, by the clock or at a terminal: what finds its exams, and what keeps two runs apart."""
