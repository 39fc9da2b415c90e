"""What two others build on."""

VALUE = 0
SEEN = {"base": VALUE}
