"""Readers of what users have: each gives a ``segparity.migrate.items.Source`` and executes nothing of it."""
