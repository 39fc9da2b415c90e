"""Tells open pages, in development, when every replica serves what was saved."""
