"""The whole product in one process tree, without a cluster: python -m dev. Never part of an image."""
