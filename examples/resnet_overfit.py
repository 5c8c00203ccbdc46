"""The first test of a deep network: can it learn 64 images by heart?

    python examples/resnet_overfit.py             # scans of 8 by 8 pixels, in a few seconds
    python examples/resnet_overfit.py --mnist     # 28 by 28, in less than a minute
    python examples/resnet_overfit.py --resnet18  # 11 million parameters instead of 0.27 million

A network that cannot bring the loss on a handful of images to zero will not learn from thousands
either: somewhere a gradient is wrong, a label misplaced, a rate too high. So try this before a long
training. The networks are whole: 20 layers deep, or 18 wide ones.
"""

import argparse
import time

import lamina
from lamina import applications, datasets, optimizers

IMAGES = 64
ZERO = 1e-3  # a loss that counts as none: the right class gets 99.9 %


def main(backend=None, mnist=False, resnet18=False, quick=False, seed=0, verbose=1):
    """Run the example.

    Args:
        backend: "numpy", "cupy", ...; None is NumPy, or what LAMINA_BACKEND says.
        mnist: take digits of 28 by 28 pixels.
        resnet18: take ResNet-18 instead of ResNet-20.
        quick: two epochs only.
        seed: of the weights and the order of the images.
        verbose: 1 shows a progress bar, 2 a line an epoch, 0 nothing.

    Returns:
        a dict of the numbers that it prints.
    """
    lamina.utils.set_random_seed(seed)
    (x, y), _ = datasets.mnist.load_sample() if mnist else datasets.digits.load_data()
    x, y = x[:IMAGES, :, :, None] / (255 if mnist else 16), y[:IMAGES]

    architecture, rate = applications.ResNet20, 0.003
    if resnet18:
        architecture, rate = applications.ResNet18, 0.001
    model = architecture(x.shape[1:], classes=10, backend=backend)
    model.compile(optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])

    start = time.perf_counter()
    model.fit(x, y, batch_size=IMAGES, epochs=2 if quick else 50, verbose=verbose)
    seconds = time.perf_counter() - start

    # In training, batch normalization goes by the images at hand; here, by the averages it kept of
    # them. Only when the loss is 0 here too has the network learnt.
    loss, accuracy = model.evaluate(x, y, batch_size=IMAGES, verbose=0)
    print(f"\nTrained in {seconds:.1f} s on {model.backend}.")
    print(f"Loss on the {IMAGES} images: {loss:.6f}; right: {accuracy:.1%}")
    print("Learnt by heart." if loss < ZERO and accuracy == 1 else "Not learnt.")
    return {"loss": loss, "accuracy": accuracy, "seconds": seconds}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--backend", help="numpy, cupy, ...")
    parser.add_argument("--mnist", action="store_true", help="digits of 28 by 28 pixels")
    parser.add_argument("--resnet18", action="store_true", help="ResNet-18, not ResNet-20")
    parser.add_argument("--quick", action="store_true", help="two epochs only")
    main(**vars(parser.parse_args()))
