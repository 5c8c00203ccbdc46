"""Two classics on the same digits: LeNet-5, which read cheques in 1998, and a small VGG of 2014.

    python examples/classics.py

Both come from ``lamina.applications``, whose files are meant to be read.
"""

import argparse
import time

import lamina
from lamina import applications, datasets, ops


def main(backend=None, quick=False, seed=0, verbose=1):
    """Run the example.

    Args:
        backend: "numpy", "cupy", ...; None is NumPy, or what LAMINA_BACKEND says.
        quick: one epoch on few digits only.
        seed: of the random numbers.
        verbose: 1 shows a progress bar, 2 a line an epoch, 0 nothing.

    Returns:
        a dict of the numbers that it prints.
    """
    (x_train, y_train), (x_test, y_test) = datasets.digits.load_data()
    x_train, x_test = x_train[..., None] / 16, x_test[..., None] / 16
    if quick:
        x_train, y_train = x_train[:64], y_train[:64]

    figures = {}
    # LeNet's windows of 5 by 5 need more pixels than the 8 by 8 there are: stretch the scans.
    for architecture, size, epochs in (
        (applications.LeNet5, 16, 12),
        (applications.SmallVGG, 8, 9),
    ):
        lamina.utils.set_random_seed(seed)
        model = architecture((size, size, 1), backend=backend)
        model.compile(
            lamina.optimizers.Adam(0.002), "sparse_categorical_crossentropy", metrics=["accuracy"]
        )
        start = time.perf_counter()
        x = ops.resize(x_train, size=size)
        model.fit(x, y_train, epochs=1 if quick else epochs, verbose=verbose)
        seconds = time.perf_counter() - start

        _, accuracy = model.evaluate(ops.resize(x_test, size=size), y_test, verbose=0)
        print(f"{model.name}, {model.count_params():,} parameters, after {seconds:.1f} s:")
        print(f"{accuracy:.2%} of the test digits read\n")
        figures[model.name] = accuracy
    return figures


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--backend", help="numpy, cupy, ...")
    parser.add_argument("--quick", action="store_true", help="one epoch on few digits only")
    main(**vars(parser.parse_args()))
