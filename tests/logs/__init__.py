"""A day of the whole product, told everything that identifies anybody, and what of it is in its logs."""
