"""Twenty hospitals that call at once while their servers fail at random, and whether anybody gets another's data."""
