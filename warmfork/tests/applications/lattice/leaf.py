"""Builds on nothing."""

VALUE = 0
SEEN = {"leaf": VALUE}
