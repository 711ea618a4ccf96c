"""The whole system under faults: after each it recovers by itself, and the books balance."""
