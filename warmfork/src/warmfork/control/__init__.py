"""Takes changed files from a sender that is faster than whatever else copies them."""
