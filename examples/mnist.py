"""The MNIST digits, 28 by 28 pixels, with a plain network of fully connected layers.

    python examples/mnist.py             # a sample of 8,000 digits to train, 2,000 to test
    python examples/mnist.py --full      # all 60,000 and 10,000, downloaded once

``LAMINA_DATA`` names a folder where the files may lie already.
"""

import argparse
import time

import lamina
from lamina import callbacks, datasets, layers


def network():
    """784 pixels in, two hidden layers, 10 probabilities out."""
    return lamina.Sequential(
        [
            layers.Input((28, 28)),
            layers.Rescaling(1 / 255),
            layers.Flatten(),
            layers.Dense(256, activation="relu"),
            layers.Dropout(0.3),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.3),
            layers.Dense(10, activation="softmax"),
        ]
    )


def main(backend=None, full=False, quick=False, seed=0, verbose=1):
    """Run the example.

    Args:
        backend: "numpy", "cupy", ...; None is NumPy, or what LAMINA_BACKEND says.
        full: the whole of MNIST instead of the sample.
        quick: two epochs only.
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
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])

    # Large steps find the valley, small ones its bottom: halve the rate every few epochs.
    schedule = callbacks.LearningRateScheduler(lambda epoch: 0.001 * 0.5 ** (epoch // 5))
    start = time.perf_counter()
    model.fit(
        x_train,
        y_train,
        batch_size=128,
        epochs=2 if quick else 15,
        callbacks=[schedule],
        verbose=verbose,
    )
    seconds = time.perf_counter() - start

    _, accuracy = model.evaluate(x_test, y_test, verbose=0)
    print(f"\nTrained in {seconds:.1f} s on {model.backend}.")
    print(f"Test accuracy: {accuracy:.2%}")
    return {"accuracy": accuracy, "seconds": seconds}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--backend", help="numpy, cupy, ...")
    parser.add_argument("--full", action="store_true", help="the whole data set")
    parser.add_argument("--quick", action="store_true", help="two epochs only")
    main(**vars(parser.parse_args()))
