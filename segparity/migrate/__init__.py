"""Reads what a user has, an MMSegmentation config or a Keras source, and writes it for the other world."""
