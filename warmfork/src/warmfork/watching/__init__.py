"""Which files change, told as soon as a save is finished."""
