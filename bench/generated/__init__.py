"""Makes applications of any size, for the reloaders to reload."""
