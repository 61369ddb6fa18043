"""A plan of a migration as source text of the other world."""
