"""Look into a network that reads digits: its filters and maps, what it looks at, where it errs.

    python examples/see_a_network.py --out pictures

``lamina.plotting`` draws; ``lamina.explain`` gives the numbers behind the drawings.
"""

import argparse
import pathlib

import lamina
from lamina import datasets, explain, layers, plotting

BLOTS = 50


def network():
    """Three convolutions; the largest number of each map decides. Names are there to be asked for.

    Without biases empty paper stays 0 in every map, so what the maps show is ink.
    """
    how = {"padding": "same", "activation": "relu", "use_bias": False}
    return lamina.Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(16, 5, **how, name="strokes"),
            layers.MaxPooling2D(2, name="smaller"),
            layers.Conv2D(32, 3, **how, name="corners"),
            layers.Conv2D(32, 3, **how, name="shapes"),
            layers.GlobalMaxPooling2D(),
            layers.Dense(10, activation="softmax"),
        ]
    )


def blotted(x, heat):
    """Images with their hottest pixels blotted out."""
    ordered = heat.reshape(len(x), -1).copy()
    ordered.sort(axis=1)
    limit = ordered[:, -BLOTS, None, None]
    return x * (heat < limit)[..., None]


def main(backend=None, out=None, quick=False, seed=0, verbose=1):
    """Run the example.

    Args:
        backend: "numpy", "cupy", ...; None is NumPy, or what LAMINA_BACKEND says.
        out: a folder for pictures; None draws nothing.
        quick: one epoch on few digits only.
        seed: of the random numbers.
        verbose: 1 shows a progress bar, 2 a line an epoch, 0 nothing.

    Returns:
        a dict of the numbers that it prints.
    """
    lamina.utils.set_random_seed(seed)
    (x_train, y_train), (x_test, y_test) = datasets.mnist.load_sample()
    x_train, x_test = x_train[..., None], x_test[..., None]  # convolutions want a channel axis
    few = 640 if quick else 4000  # enough for a network to look into, with errors left to see
    x_train, y_train = x_train[:few], y_train[:few]

    with lamina.use(backend):
        model = network()
    model.compile(
        lamina.optimizers.Adam(0.003), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    model.fit(x_train, y_train, batch_size=64, epochs=1 if quick else 2, verbose=verbose)
    _, accuracy = model.evaluate(x_test, y_test, verbose=0)
    print(f"Test accuracy: {accuracy:.1%}")

    # Saliency names the pixels that matter. If it is right, a digit without its own is harder to
    # read than one that lacks as many pixels which matter to another digit.
    x, y = x_test[:500], y_test[:500]
    salient = explain.saliency(model, x)
    _, own = model.evaluate(blotted(x, salient), y, verbose=0)
    _, others = model.evaluate(blotted(x, salient[::-1]), y, verbose=0)
    print(f"Without the {BLOTS} pixels that matter most: {own:.1%};")
    print(f"without {BLOTS} that matter to another digit: {others:.1%}.")

    if out is not None:
        draw(pathlib.Path(out), model, x_test, y_test)
    return {"accuracy": accuracy, "own": own, "others": others}


def draw(folder, model, x, y):
    """One picture for each question."""
    plotting.filters(model, path=folder / "filters.png")
    plotting.feature_maps(model, x[0], path=folder / "feature_maps.png")
    plotting.saliency(model, x[:3], path=folder / "saliency.png")
    plotting.grad_cam(model, x[:3], path=folder / "grad_cam.png")
    probabilities = model.predict(x, verbose=0)
    plotting.confusion_matrix(y, probabilities, path=folder / "confusion_matrix.png")
    plotting.most_wrong(model, x, y, columns=6, path=folder / "most_wrong.png")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--backend", help="numpy, cupy, ...")
    parser.add_argument("--out", help="folder for pictures")
    parser.add_argument("--quick", action="store_true", help="one epoch on few digits only")
    main(**vars(parser.parse_args()))
