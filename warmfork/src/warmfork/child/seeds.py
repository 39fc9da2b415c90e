"""Lets each process draw random numbers of its own: generators that libraries have made are inherited by a fork.

Python seeds the generator behind the functions of `random` anew by itself. What was seeded on purpose stays as it is.
"""

import random
import sys
import weakref

_seed = random.Random.seed


class Seeds:
    """Knows the generators that were seeded from the system since this was made."""

    def __init__(self) -> None:
        """Begin to watch."""
        known: weakref.WeakSet[random.Random] = weakref.WeakSet()
        self._known = known

        def seed(generator: random.Random, a: float | str | bytes | bytearray | None = None, version: int = 2) -> None:
            _seed(generator, a, version)
            if a is None:
                known.add(generator)
            else:
                known.discard(generator)

        random.Random.seed = seed  # type: ignore[method-assign,assignment]

    def renew(self) -> None:
        """In a forked process: seed them anew."""
        for generator in self._known:
            generator.seed()
        if numpy := sys.modules.get("numpy.random"):
            # The one behind its functions, which it seeds when it is imported.
            numpy.seed()

    def stop(self) -> None:
        """Watch no longer: no fork of this process is to draw other numbers by itself."""
        random.Random.seed = _seed  # type: ignore[method-assign]
