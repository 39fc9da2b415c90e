"""Everything the loop needs, made from package registries alone: no image registry, no release downloads."""
