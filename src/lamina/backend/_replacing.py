"""Methods and functions of other libraries that are replaced for a while, and put back."""

_INHERITED = object()


class Replacements:
    """What was replaced, so that it can be put back; each name of an object once."""

    def __init__(self):
        self._done = []  # (owner, name, what was its own, or _INHERITED)
        self._known = set()

    def replace(self, owner, name: str, make) -> None:
        """Put ``make(original)`` in the place of ``owner.name``, where there is such a thing."""
        if (id(owner), name) in self._known or not hasattr(owner, name):
            return
        original = getattr(owner, name)
        self._done.append((owner, name, vars(owner).get(name, _INHERITED)))
        self._known.add((id(owner), name))
        setattr(owner, name, make(original))

    def restore(self) -> None:
        """Put everything back, the last first."""
        self._known.clear()
        while self._done:
            owner, name, own = self._done.pop()
            if own is _INHERITED:
                delattr(owner, name)
            else:
                setattr(owner, name, own)
