"""Builds on base when it is imported."""

from lattice import base

VALUE = 0
SEEN = {"right": VALUE, **base.SEEN}
