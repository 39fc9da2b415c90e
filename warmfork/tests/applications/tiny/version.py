"""The number that a test counts up."""

VERSION = 0
