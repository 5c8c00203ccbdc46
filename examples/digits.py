"""Learn to read handwritten digits: 1,797 real scans of 8 by 8 pixels, in a few seconds.

    python examples/digits.py --out pictures
    python examples/digits.py --backend cupy
"""

import argparse
import pathlib
import time

import lamina
from lamina import datasets, layers, plotting


def network():
    """64 pixels in, 10 probabilities out, one for each digit."""
    return lamina.Sequential(
        [
            layers.Input((8, 8)),
            layers.Rescaling(1 / 16),  # ink from 0 to 1 instead of 0 to 16
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            # Dropout silences some neurons at random in every step, so that none of them can rely
            # on another: what is learnt carries over better to new handwriting.
            layers.Dropout(0.2),
            layers.Dense(10, activation="softmax"),
        ]
    )


def main(backend=None, out=None, quick=False, seed=0):
    """Run the example.

    Args:
        backend: "numpy", "cupy", ...; None is NumPy, or what LAMINA_BACKEND says.
        out: a folder for pictures; None draws nothing.
        quick: a few epochs only.
        seed: of the random numbers; the same seed gives the same network.

    Returns:
        a dict of the numbers that it prints.
    """
    lamina.utils.set_random_seed(seed)
    # The test digits are kept away from training altogether: a network that only remembered what it
    # was shown would fail on them.
    (x_train, y_train), (x_test, y_test) = datasets.digits.load_data()

    with lamina.use(backend):
        model = network()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.summary()

    start = time.perf_counter()
    # A tenth of the training digits is watched, not learnt from: where the two curves of the
    # picture part, the network has begun to learn by heart.
    history = model.fit(
        x_train, y_train, batch_size=16, epochs=5 if quick else 40, validation_split=0.1
    )
    seconds = time.perf_counter() - start

    _, accuracy = model.evaluate(x_test, y_test, verbose=0)
    probabilities = model.predict(x_test, verbose=0)
    read = probabilities.argmax(axis=1)
    wrong = read != y_test
    print(f"\nTrained in {seconds:.1f} s on {model.backend}.")
    print(f"Test accuracy: {accuracy:.2%} ({wrong.sum()} of {len(y_test)} read wrongly)")

    if out is not None:
        draw(pathlib.Path(out), history, x_test, y_test, probabilities)
    return {"accuracy": accuracy, "seconds": seconds, "wrong": int(wrong.sum())}


def draw(folder, history, x, y, probabilities):
    """The learning curve, the confusion matrix, and every digit that was read wrongly."""
    folder.mkdir(parents=True, exist_ok=True)
    history.plot(path=folder / "learning_curve.png")
    plotting.confusion_matrix(y, probabilities, path=folder / "confusion_matrix.png")

    read = probabilities.argmax(axis=1)
    wrong = (read != y).nonzero()[0]
    if len(wrong):
        titles = [f"{y[i]} (read {read[i]})" for i in wrong]
        plotting.images(
            x[wrong], titles=titles, columns=5, cmap="gray_r", path=folder / "wrongly_read.png"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--backend", help="numpy, cupy, ...")
    parser.add_argument("--out", help="folder for pictures")
    parser.add_argument("--quick", action="store_true", help="a few epochs only")
    main(**vars(parser.parse_args()))
