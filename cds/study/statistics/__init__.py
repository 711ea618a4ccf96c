"""What a study reckons with, knowing nothing of exams."""
