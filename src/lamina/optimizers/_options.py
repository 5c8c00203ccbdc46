"""What every optimizer checks about the options it is given.

Each function returns the value it was given, or says what must hold, what came and what to do.
"""

from lamina.errors import nearest


def number(owner: str, name: str, value) -> float:
    """A Python float, from anything that is a single real number."""
    if isinstance(value, bool | str):
        raise TypeError(f"{owner} expects {name} to be a number, got {value!r}")
    try:
        return float(value)
    except (TypeError, ValueError):
        kind = type(value).__name__
        raise TypeError(f"{owner} expects {name} to be a number, got {kind}") from None


def not_negative(owner: str, name: str, value) -> float:
    """A number that is at least 0 and finite."""
    value = number(owner, name, value)
    if not 0 <= value < float("inf"):
        raise ValueError(f"{owner} expects {name} to be finite and at least 0, got {value}")
    return value


def positive(owner: str, name: str, value) -> float:
    """A number above 0."""
    value = number(owner, name, value)
    if not value > 0:
        raise ValueError(f"{owner} expects {name} to be above 0, got {value}: None turns it off")
    return value


def fraction(owner: str, name: str, value) -> float:
    """A number in [0, 1)."""
    value = number(owner, name, value)
    if not 0 <= value < 1:
        raise ValueError(f"{owner} expects {name} to be at least 0 and below 1, got {value}")
    return value


def count(owner: str, name: str, value, least: int) -> int:
    """A whole number that is at least ``least``."""
    if isinstance(value, bool) or not hasattr(value, "__index__") or value < least:
        raise ValueError(
            f"{owner} expects {name} to be a whole number, {least} or more, got {value!r}: "
            "None turns it off"
        )
    return int(value)


def check_schedule(owner: str, value) -> None:
    """Raise where a learning rate that can be called is no function of the step."""
    if isinstance(value, type):
        raise TypeError(
            f"{owner} expects learning_rate to be a number or a function of the step, got the "
            f"class {value.__name__}: pass a number, such as 0.01, or an object"
        )
    from inspect import signature

    try:
        call = signature(value)
    except ValueError:  # some that are written in C do not tell
        return
    try:
        call.bind(0)
    except TypeError as error:
        raise TypeError(
            "a learning-rate function takes the number of the step, as lambda step: 0.1 / (1 + "
            f"step) does, got {value!r}: {error}"
        ) from None


def optional(check, owner: str, name: str, value, *more):
    """``check``, for an option that None turns off."""
    return None if value is None else check(owner, name, value, *more)


def arguments(kind: type) -> list[str]:
    """The names of the arguments that make an optimizer of this class."""
    from inspect import Parameter, signature

    named = signature(kind).parameters.values()
    return [p.name for p in named if p.kind is not Parameter.VAR_KEYWORD]


def refuse_unknown(owner: str, given: dict, known) -> None:
    """Raise for keywords no optimizer takes, naming today's word for an old or misspelt one."""
    for name in given:
        if name == "lr":
            raise TypeError(f"{owner} has no argument 'lr': it is called learning_rate")
        if name == "decay":
            raise TypeError(
                f"{owner} has no argument 'decay': give learning_rate a function of the step, or "
                "weight_decay if the weights are meant"
            )
        close = nearest(name, known)
        advice = f"did you mean {close!r}?" if close else f"it takes {', '.join(known)}"
        raise TypeError(f"{owner} has no argument {name!r}: {advice}")
