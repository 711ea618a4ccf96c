"""What is kept: exams, scores and the scoring queue."""
