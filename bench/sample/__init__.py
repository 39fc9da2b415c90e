"""A small application of the usual make, for the reloaders to reload: nine modules, ten routes."""
