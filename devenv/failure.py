"""The one error that people see: what failed, why, and what to type next."""


class Failure(Exception):  # noqa: N818 - the word that people read
    """A readable end of a command.

    what: the thing that failed. why: its cause. remedy: the next command or step.
    """

    def __init__(self, what: str, why: str, remedy: str) -> None:
        super().__init__(f"{what}: {why}")
        self.what = what
        self.why = why
        self.remedy = remedy

    def __str__(self) -> str:
        return f"error: {self.what}\ncause: {self.why}\nnext:  {self.remedy}"
