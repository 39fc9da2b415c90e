"""Builds on left and right when it is imported."""

from lattice import left, right

VALUE = 0
SEEN = {"top": VALUE, **left.SEEN, **right.SEEN}
