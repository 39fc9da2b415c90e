"""Prepares a machine for the inner loop: tools, container engine, base images, cluster.

Standard library only, Python 3.11 or newer, so that it runs before anything is installed.
"""
