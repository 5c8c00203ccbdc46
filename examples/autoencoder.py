"""Digits through the eye of a needle: a convolutional autoencoder against principal components.

    python examples/autoencoder.py --out pictures

An autoencoder learns to give its input back through a few numbers, here 16 for 784 pixels, and so
to tell in 16 numbers what a digit looks like. The best that straight lines can do with as many
numbers is known: principal components. The network should do better.
"""

import argparse
import pathlib
import time

import lamina
from lamina import applications, datasets, plotting

NUMBERS = 16


def principal_components(x_train, x_test):
    """The test images as PCA gives them back, by where they lie along the widest directions."""
    middle = x_train.mean(axis=0).reshape(-1)
    flat = x_train.reshape(len(x_train), -1) - middle
    axes = lamina.xp.linalg.eigh(flat.T @ flat)[1][:, -NUMBERS:]
    codes = (x_test.reshape(len(x_test), -1) - middle) @ axes
    return (codes @ axes.T + middle).clip(0, 1).reshape(x_test.shape)


def main(backend=None, out=None, quick=False, seed=0, verbose=1):
    """Run the example.

    Args:
        backend: "numpy", "cupy", ...; None is NumPy, or what LAMINA_BACKEND says.
        out: a folder for the picture; None draws nothing.
        quick: one epoch on few digits only.
        seed: of the random numbers.
        verbose: 1 shows a progress bar, 2 a line an epoch, 0 nothing.

    Returns:
        a dict of the numbers that it prints.
    """
    lamina.utils.set_random_seed(seed)
    (x_train, _), (x_test, _) = datasets.mnist.load_sample()
    x_train = x_train[: 640 if quick else None, ..., None].astype("float32") / 255
    x_test = x_test[..., None].astype("float32") / 255

    model = applications.ConvAutoencoder((28, 28, 1), latent=NUMBERS, backend=backend)
    model.compile(lamina.optimizers.Adam(0.002), "mse")
    start = time.perf_counter()
    model.fit(x_train, x_train, batch_size=64, epochs=1 if quick else 5, verbose=verbose)
    seconds = time.perf_counter() - start

    again = model.predict(x_test, verbose=0)
    straight = principal_components(x_train, x_test)
    network, components = [float(((x_test - made) ** 2).mean()) for made in (again, straight)]
    print(f"\nTrained in {seconds:.1f} s on {model.backend}.")
    print(f"Mean squared error of a pixel: {network:.4f}, by principal components {components:.4f}")

    if out is not None:
        path = pathlib.Path(out) / "autoencoder.png"
        rows = [part[i : i + 1] for part in (x_test, again, straight) for i in range(10)]
        names = ["original", "autoencoder", "components"]
        titles = [name if i == 0 else "" for name in names for i in range(10)]
        plotting.images(lamina.xp.concat(rows), titles=titles, columns=10, path=path)
    return {"network": network, "components": components, "seconds": seconds}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--backend", help="numpy, cupy, ...")
    parser.add_argument("--out", help="folder for the picture")
    parser.add_argument("--quick", action="store_true", help="one epoch on few digits only")
    main(**vars(parser.parse_args()))
