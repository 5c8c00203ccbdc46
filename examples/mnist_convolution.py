"""The MNIST digits with a convolutional network: 98 % of unseen digits in half a minute.

    python examples/mnist_convolution.py         # a sample of 8,000 digits to train, 2,000 to test
    python examples/mnist_convolution.py --full  # all 60,000 and 10,000, downloaded once

The network of ``mnist.py`` sees a row of 784 numbers; this one sees that pixels have neighbours,
looks for the same strokes everywhere, and needs a tenth of the weights.
"""

import argparse
import time

import lamina
from lamina import datasets, layers


def network():
    """An image in; strokes, then shapes made of strokes; 10 probabilities out."""
    return lamina.Sequential(
        [
            layers.Input((28, 28)),
            layers.Rescaling(1 / 255),
            layers.Reshape((28, 28, 1)),
            layers.Conv2D(16, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dropout(0.4),
            layers.Dense(10, activation="softmax"),
        ]
    )


def main(backend=None, full=False, quick=False, seed=0, verbose=1):
    """Run the example.

    Args:
        backend: "numpy", "cupy", ...; None is NumPy, or what LAMINA_BACKEND says.
        full: the whole of MNIST instead of the sample.
        quick: one epoch only.
        seed: of the random numbers.
        verbose: 1 shows a progress bar, 2 a line an epoch, 0 nothing.

    Returns:
        a dict of the numbers that it prints.
    """
    lamina.utils.set_random_seed(seed)
    load = datasets.mnist.load_data if full else datasets.mnist.load_sample
    (x_train, y_train), (x_test, y_test) = load()
    print(f"{len(y_train):,} digits to train on, {len(y_test):,} to test with")

    with lamina.use(backend):
        model = network()
    model.summary()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])

    start = time.perf_counter()
    model.fit(x_train, y_train, batch_size=64, epochs=1 if quick else 12, verbose=verbose)
    seconds = time.perf_counter() - start

    _, accuracy = model.evaluate(x_test, y_test, verbose=0)
    print(f"\nTrained in {seconds:.1f} s on {model.backend}.")
    print(f"Test accuracy: {accuracy:.2%}")
    return {"accuracy": accuracy, "seconds": seconds}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--backend", help="numpy, cupy, ...")
    parser.add_argument("--full", action="store_true", help="the whole data set")
    parser.add_argument("--quick", action="store_true", help="one epoch only")
    main(**vars(parser.parse_args()))
