"""Lets each process draw random numbers of its own: generators that libraries have made are inherited by a fork.

Python seeds the generator behind the functions of `random` anew by itself. What was seeded on purpose stays as it is.
"""

import gc
import random
import secrets
import sys
import weakref
from typing import Any

_seed = random.Random.seed
_draw = secrets.randbits


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
        # What numpy seeds its generators with, and those of them that were found.
        drawn: set[int] = set()
        self._drawn, self._generators = drawn, list[Any]()
        self._is_watching = True

        def draw(k: int) -> int:
            number = _draw(k)
            if self._is_watching:
                drawn.add(number)
            return number

        secrets.randbits = draw

    def find(self, *, also_frozen: bool) -> None:
        """Look for further generators of numpy's that were seeded from the system.

        also_frozen: whether they may be among what gc has frozen.
        """
        if not (kinds := sys.modules.get("numpy.random.bit_generator")):
            return
        if also_frozen:
            gc.unfreeze()
        found = [
            one
            for one in gc.get_objects()
            # Not isinstance(), which asks a proxy for what it stands for.
            if issubclass(type(one), kinds.BitGenerator) and getattr(one.seed_seq, "entropy", None) in self._drawn
        ]
        self._generators = found if also_frozen else [*self._generators, *found]
        if also_frozen:
            gc.freeze()

    def renew(self) -> None:
        """In a forked process: seed them anew."""
        for generator in self._known:
            generator.seed()
        for one in self._generators:
            one.state = type(one)().state
        if numpy := sys.modules.get("numpy.random"):
            # The one behind its functions, which it seeds when it is imported.
            numpy.seed()

    def stop(self) -> None:
        """Watch no longer: no fork of this process is to draw other numbers by itself."""
        random.Random.seed = _seed  # type: ignore[method-assign]
        secrets.randbits = _draw
        # Numpy has taken the other.
        self._is_watching = False
