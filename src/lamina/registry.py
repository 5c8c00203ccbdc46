"""Objects by name: how "glorot_uniform", "l2" or "max_norm" become objects, and a config again.

A leaf that initializers, regularizers and constraints share. To make a class known by a name, add
it to the dictionary of names in its own room.
"""

from typing import Any

from lamina.errors import unknown


class Configured:
    """An object that its configuration, a dictionary of its arguments, makes again.

    Subclasses that take arguments write ``get_config``.
    """

    def get_config(self) -> dict:
        """The arguments that make this object again."""
        return {}

    @classmethod
    def from_config(cls, config: dict):
        """The object that ``get_config`` described."""
        return cls(**config)

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.get_config().items())
        return f"{type(self).__name__}({arguments})"


class Registry:
    """The classes of one kind, such as initializers, by name.

    Args:
        kind: what they are, for messages: "initializer".
        base: their base class.
        classes: class by snake_case name; found in any case and with or without underscores, so
            that ``GlorotUniform`` is ``glorot_uniform``.
        aliases: further names, told to users only where one is the nearest.
    """

    def __init__(self, kind: str, base: type, classes: dict, aliases: dict | None = None):
        self.kind = kind
        self.base = base
        self.classes = classes
        self._aliases = (*(aliases or ()),)
        self._by_name = {_folded(n): c for n, c in {**classes, **(aliases or {})}.items()}

    def get(self, identifier):
        """The object that a name, a class, a configuration, a function or an object stands for.

        None stays None. Anything that can be called is taken as it is.

        Raises:
            ValueError: for an unknown name, with the nearest right one.
            TypeError: for anything else.
        """
        if identifier is None:
            return None
        if isinstance(identifier, str):
            return self.named(identifier)()
        if isinstance(identifier, dict):
            return self.deserialize(identifier)
        if isinstance(identifier, type) and issubclass(identifier, self.base):
            return identifier()
        if callable(identifier):
            return identifier
        article = "an" if self.kind[0] in "aeiou" else "a"
        raise TypeError(
            f"{article} {self.kind} is given by its name, as an object or as a function, "
            f"got {identifier!r}: use one of {', '.join(sorted(self.classes))}"
        )

    def named(self, name: str, custom_objects: dict | None = None) -> type[Any]:
        """The class called ``name``."""
        if custom_objects and name in custom_objects:
            return custom_objects[name]
        found = self._by_name.get(_folded(name))
        if found is None:
            known = (*self.classes, *(custom_objects or ()))
            raise unknown(self.kind, name, known, self._aliases)
        return found

    def serialize(self, thing):
        """``{"class_name": ..., "config": ...}`` of an object; the name of a function; or None."""
        if thing is None:
            return None
        if hasattr(thing, "get_config"):
            return {"class_name": type(thing).__name__, "config": thing.get_config()}
        return getattr(thing, "__name__", type(thing).__name__)

    def deserialize(self, config, custom_objects: dict | None = None):
        """The object that ``serialize`` described.

        Args:
            config: what ``serialize`` gave.
            custom_objects: classes and functions of one's own, by name.
        """
        if config is None:
            return None
        if isinstance(config, str):
            found = self.named(config, custom_objects)
            return found() if isinstance(found, type) else found
        kind = self.named(config["class_name"], custom_objects)
        return kind.from_config(config.get("config", {}))


def _folded(name: str) -> str:
    return name.lower().replace("_", "")


def snake_case(name: str) -> str:
    """The name of a class as a function would have it: "LeakyReLU" is "leaky_re_lu".

    A capital begins a word where a small letter stands before it or after it, and a digit begins
    none: "MaxPooling2D" is "max_pooling2d".
    """
    words = []
    for i, letter in enumerate(name):
        begins = i and letter.isupper() and name[i - 1] != "_"
        if begins and (name[i - 1].islower() or name[i + 1 : i + 2].islower()):
            words.append("_")
        words.append(letter.lower())
    return "".join(words).strip("_")
