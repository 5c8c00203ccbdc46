"""House prices from bedrooms and quality: a whole network in nine weights.

    python examples/house_prices.py
"""

import argparse

import lamina
from lamina import layers, optimizers, xp

# Bedrooms and quality of three houses. A tutorial shows the first three, yet the numbers that it
# prints belong to the others. Below you find both, whichever you have in front of you.
SHOWN = [[2.0, 7.0], [1.0, 3.0], [3.0, 9.0]]
PRINTED = [[2.0, 9.0], [1.0, 5.0], [3.0, 6.0]]
PRICES = [[94.0], [89.0], [83.0]]


def sigmoid(x):
    return 1 / (1 + xp.exp(-x))


def forward(x):
    """The network by hand: 2 inputs, 3 hidden neurons, 1 output, every weight 0.5, no biases."""
    hidden_sums = x @ (xp.ones((2, 3)) * 0.5)
    hidden = sigmoid(hidden_sums)
    output_sums = hidden @ (xp.ones((3, 1)) * 0.5)
    return hidden_sums, hidden, output_sums, sigmoid(output_sums)


def network(kernel_initializer):
    """The same network as a model."""
    return lamina.Sequential(
        [
            layers.Input((2,)),
            layers.Dense(3, "sigmoid", use_bias=False, kernel_initializer=kernel_initializer),
            layers.Dense(1, "sigmoid", use_bias=False, kernel_initializer=kernel_initializer),
        ]
    )


def main(backend=None, quick=False):
    """Run the example.

    Args:
        backend: "numpy", "cupy", ...; None is NumPy, or what LAMINA_BACKEND says.
        quick: train for a short while from one random start, not long from five.

    Returns:
        a dict of the numbers that it prints.
    """
    with lamina.use(backend):
        figures = forward_passes()
        figures.update(training(seeds=1 if quick else 5, epochs=200 if quick else 2000))
    return figures


def forward_passes():
    # Bedrooms and quality are counted in different units. Divided by the largest of its column,
    # each lies between 0 and 1, and neither drowns the other.
    x = xp.asarray(PRINTED)
    steps = forward(x / xp.max(x, axis=0))
    names = ("hidden sums", "hidden outputs", "output sums", "outputs")
    # The hidden neurons have equal weights, so one column of each step tells everything.
    printed = {n: [float(v) for v in step[:, 0]] for n, step in zip(names, steps, strict=True)}
    print("All weights 0.5, X = [[2, 9], [1, 5], [3, 6]]: the numbers that the tutorial prints")
    for name, values in printed.items():
        print(f"  {name:<14}  " + "  ".join(f"{v:.8f}" for v in values))

    x = xp.asarray(SHOWN)
    shown = [float(v) for v in forward(x / xp.max(x, axis=0))[-1][:, 0]]
    print("All weights 0.5, X = [[2, 7], [1, 3], [3, 9]]: the houses that it shows")
    print(f"  {'outputs':<14}  " + "  ".join(f"{v:.8f}" for v in shown))

    model = network(lamina.initializers.Constant(0.5))
    by_model = model.predict(x / xp.max(x, axis=0), verbose=0)[:, 0].tolist()
    print(f"  {'by a model':<14}  " + "  ".join(f"{v:.8f}" for v in by_model))
    return {**printed, "shown": shown, "model": by_model}


def training(seeds, epochs):
    # New data is scaled as the training data was, by the training data's largest values.
    largest = xp.max(xp.asarray(SHOWN), axis=0)
    x, y = xp.asarray(SHOWN) / largest, xp.asarray(PRICES) / 100
    house = xp.asarray([[4.0, 7.0]]) / largest

    # Equal weights get equal gradients and would stay equal for ever: three hidden neurons doing
    # the work of one. Random starting weights break the tie.
    print("\nTraining on the houses shown, from random weights")
    predictions, fits = [], []
    for seed in range(seeds):
        lamina.utils.set_random_seed(seed)
        model = network("glorot_uniform")
        model.compile(optimizer=optimizers.Adam(0.1), loss="mse")
        model.fit(x, y, epochs=epochs, verbose=0)
        fits.append((100 * model.predict(x, verbose=0)[:, 0]).tolist())
        predictions.append(100 * float(model.predict(house, verbose=0)[0, 0]))
        prices = " ".join(f"{price:.1f}" for price in fits[-1])
        print(f"  seed {seed}: the three prices {prices}; a house (4, 7) {predictions[-1]:.1f}")
    print("The prices are 94, 89, 83. No house had four bedrooms, so of the fourth price each")
    print("network has its own idea: three houses cannot teach more.")
    return {"fits": fits, "predictions": predictions}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--backend", help="numpy, cupy, ...")
    parser.add_argument("--quick", action="store_true", help="one random start, few epochs")
    main(**vars(parser.parse_args()))
