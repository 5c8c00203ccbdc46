"""Writing the figures of every epoch to a CSV file."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from lamina.models.callbacks.callback import Callback, Logs

MISSING = "NA"


class CSVLogger(Callback):
    """Write one row of figures an epoch, in a file that is complete after each of them.

    The columns are ``epoch``, counted from 0, then the names in the logs in alphabetical order. A
    figure that comes up later adds a column, and the rows before it say ``NA``.

    Args:
        filename: path of the file; its folder is made if need be.
        separator: what stands between two columns.
        append: whether to go on with an existing file, under its header, rather than to replace
            it.

    Example:
        >>> model.fit(x, y, epochs=50, callbacks=[CSVLogger("run.csv")])
        >>> pandas.read_csv("run.csv")
    """

    def __init__(
        self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False
    ) -> None:
        super().__init__()
        self.filename = os.fspath(filename)
        self.separator = separator
        self.append = append
        self._columns: list[str] = []

    def on_train_begin(self, logs: Logs | None = None) -> None:
        os.makedirs(os.path.dirname(self.filename) or ".", exist_ok=True)
        if self.append and os.path.exists(self.filename):
            rows = self._read()
            self._columns = rows[0] if rows else []
        else:
            self._columns = []
            self._write("w", [])

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        figures = {"epoch": epoch, **(logs or {})}
        new = [name for name in figures if name not in self._columns]
        if new:
            self._add_columns(sorted(new, key=lambda name: (name != "epoch", name)))
        self._write("a", [[figures.get(name, MISSING) for name in self._columns]])

    def _add_columns(self, names: list[str]) -> None:
        rows = self._read()[1:]
        padding = [MISSING] * len(names)
        self._columns = self._columns + names
        self._write("w", [self._columns, *(row + padding for row in rows)])

    def _read(self) -> list[list[str]]:
        import csv

        with open(self.filename, newline="", encoding="utf-8") as file:
            return [row for row in csv.reader(file, delimiter=self.separator) if row]

    def _write(self, mode: str, rows: Iterable[list[Any]]) -> None:
        import csv

        # Opened for each write, so that no run, however it ends, leaves the file open or short.
        with open(self.filename, mode, newline="", encoding="utf-8") as file:
            csv.writer(file, delimiter=self.separator, lineterminator="\n").writerows(rows)
