"""Which pixels are ink? A U-Net finds handwritten digits in a noisy scene.

    python examples/segment.py --out pictures

Two real digits lie somewhere in each scene, under noise nearly as strong as they are. By its
brightness alone a pixel cannot be told from its neighbour; a network that knows strokes sees more.
"""

import argparse
import pathlib
import time

import lamina
from lamina import applications, backend, datasets, plotting

SIDE, DIGIT = 16, 8


def scenes(digits, count, seed):
    """Scenes (count, SIDE, SIDE, 1), and for every pixel whether it is ink."""
    random = backend.random.Generator(seed)
    images = 0.2 * random.normal((count, SIDE, SIDE)) + 0.35 * random.uniform((count, SIDE, SIDE))
    ink = images != images
    for image, mask in zip(images, ink, strict=True):
        for _ in range(2):
            digit = digits[int(random.integers(0, len(digits)))] / 16
            top, left = (int(n) for n in random.integers(0, SIDE - DIGIT + 1, (2,)))
            place = slice(top, top + DIGIT), slice(left, left + DIGIT)
            image[place] += 0.65 * digit
            mask[place] |= digit > 0.4
    return images[..., None], ink[..., None]


def overlap(found, ink):
    """Intersection over union: 1 where exactly the ink was found, 0 where none of it was."""
    return float((found & ink).sum() / (found | ink).sum())


def main(backend=None, out=None, quick=False, seed=0, verbose=1):
    """Run the example.

    Args:
        backend: "numpy", "cupy", ...; None is NumPy, or what LAMINA_BACKEND says.
        out: a folder for the picture; None draws nothing.
        quick: one epoch on few scenes only.
        seed: of the random numbers.
        verbose: 1 shows a progress bar, 2 a line an epoch, 0 nothing.

    Returns:
        a dict of the numbers that it prints.
    """
    lamina.utils.set_random_seed(seed)
    (digits_train, _), (digits_test, _) = datasets.digits.load_data()
    x_train, ink_train = scenes(digits_train, 64 if quick else 800, seed=1)
    x_test, ink_test = scenes(digits_test, 200, seed=2)

    model = applications.UNet(
        (SIDE, SIDE, 1), classes=1, filters=8, depth=2, classifier_activation="sigmoid",
        backend=backend,
    )  # fmt: skip
    model.compile(lamina.optimizers.Adam(0.003), "binary_crossentropy")
    start = time.perf_counter()
    model.fit(x_train, ink_train, epochs=1 if quick else 8, verbose=verbose)
    seconds = time.perf_counter() - start

    found = model.predict(x_test, verbose=0) > 0.5
    by_brightness = max(overlap(x_test > i / 20, ink_test) for i in range(20))
    network = overlap(found, ink_test)
    print(f"\nTrained in {seconds:.1f} s on {model.backend}.")
    print(f"Overlap with the ink: {network:.2f}; of all pixels above the best threshold: "
          f"{by_brightness:.2f}")  # fmt: skip

    if out is not None:
        parts = [part[:8].astype("float32") for part in (x_test, ink_test, found)]
        names = ["scene", "ink", "found"]
        titles = [name if i == 0 else "" for name in names for i in range(8)]
        picture = lamina.xp.concat([part.clip(0, 1) for part in parts])
        path = pathlib.Path(out) / "segment.png"
        plotting.images(picture, titles=titles, columns=8, path=path)
    return {"network": network, "by_brightness": by_brightness, "seconds": seconds}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--backend", help="numpy, cupy, ...")
    parser.add_argument("--out", help="folder for the picture")
    parser.add_argument("--quick", action="store_true", help="one epoch on few scenes only")
    main(**vars(parser.parse_args()))
