"""The command: warmfork, or python -m warmfork."""

import sys

from warmfork.activation import reserve


def main() -> None:
    """Run the command and exit."""
    # Before any import that may open a file, for the descriptors of these sockets are fixed.
    reserve(sum(word.partition("=")[0] == "--listen" for word in sys.argv))
    from warmfork import command  # noqa: PLC0415

    command.main()


if __name__ == "__main__":
    main()
