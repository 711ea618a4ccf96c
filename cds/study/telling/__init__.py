"""How a study tells what it found, and nothing of groups so small that somebody could be recognised."""
