"""Builds on base when it is imported."""

from lattice import base

VALUE = 0
SEEN = {"left": VALUE, **base.SEEN}
