"""The room between a user's data and a model: conversion and checks, then batches.

Everything that comes in passes ``_convert.py`` once; what is wrong with it is said there, by name.
"""

from lamina.data._batches import ArrayBatches, IterableBatches, is_iterable_of_batches
from lamina.data._convert import as_array, class_weights, is_ready, to_backend

__all__ = [
    "ArrayBatches",
    "IterableBatches",
    "as_array",
    "class_weights",
    "is_iterable_of_batches",
    "is_ready",
    "to_backend",
]
