"""Exclusive or: the smallest problem that needs a hidden layer, and backpropagation by hand.

    python examples/xor.py --out pictures
"""

import argparse
import pathlib

import lamina
from lamina import config, datasets, layers, losses, optimizers, plotting, xp

# The four points, and 1 where exactly one of the two inputs is 1. No straight line parts the ones
# from the zeros, and a straight line is all that a single neuron can draw.
POINTS, ANSWERS = datasets.xor.load_data()
ANSWERS = ANSWERS.reshape(4, 1)  # one row per point, one column per output


def network():
    """Two inputs, four hidden neurons, one output, as ``lamina`` spells it."""
    return lamina.Sequential(
        [layers.Input((2,)), layers.Dense(4, "sigmoid"), layers.Dense(1, "sigmoid")]
    )


def sigmoid(x):
    return 1 / (1 + xp.exp(-x))


def step_by_hand(weights, x, y, rate):
    """One step of gradient descent on half the summed squared error, derived with pen and paper.

    With e = sum((output - y)**2) / 2, the chain rule goes through the network backwards. A delta is
    how e changes with a neuron's sum; since sigmoid' = sigmoid * (1 - sigmoid), it needs nothing
    but what the forward pass left behind.
    """
    w1, b1, w2, b2 = weights
    hidden = sigmoid(x @ w1 + b1)
    output = sigmoid(hidden @ w2 + b2)

    output_delta = (output - y) * output * (1 - output)
    hidden_delta = (output_delta @ w2.T) * hidden * (1 - hidden)  # the error, sent back through w2

    return [
        w1 - rate * (x.T @ hidden_delta),  # the change of a weight: its input times its delta
        b1 - rate * xp.sum(hidden_delta, axis=0),
        w2 - rate * (hidden.T @ output_delta),
        b2 - rate * xp.sum(output_delta, axis=0),
    ]


def compare_with_hand(steps):
    """Train by hand and with ``lamina`` side by side; the largest difference in any weight."""
    usual = config.floatx()
    config.set_floatx("float64")  # enough digits to tell "equal" from "nearly equal"
    try:
        model = network()
        model.compile(optimizers.SGD(0.1), losses.SumOfSquares(reduction="sum"))
        weights = [model.backend.asarray(w) for w in model.get_weights()]  # the same start
        x = model.backend.asarray(POINTS, "float64")
        y = model.backend.asarray(ANSWERS, "float64")
        largest = 0.0
        for _ in range(steps):
            model.train_on_batch(POINTS, ANSWERS)
            weights = step_by_hand(weights, x, y, rate=0.1)
            for trained, own in zip(model.weights, weights, strict=True):
                largest = max(largest, float(xp.max(xp.abs(trained.data - own))))
        return largest
    finally:
        config.set_floatx(usual)


def learn(seed, epochs):
    """A network trained from the random weights of ``seed``, and whether it learnt all four."""
    lamina.utils.set_random_seed(seed)
    model = network()
    # At a rate of 0.1 plain descent needs ten thousand steps. A larger rate with momentum, which
    # keeps some of the speed of the steps before, crosses the flat stretches in hundreds.
    model.compile(optimizers.SGD(1.0, momentum=0.9), losses.SumOfSquares(reduction="sum"))
    model.fit(POINTS, ANSWERS, epochs=epochs, verbose=0)
    answers = model.predict(POINTS, verbose=0)
    return model, bool(((answers > 0.5) == (ANSWERS == 1)).all())


def main(backend=None, out=None, quick=False):
    """Run the example.

    Args:
        backend: "numpy", "cupy", ...; None is NumPy, or what LAMINA_BACKEND says.
        out: a folder for pictures; None draws nothing.
        quick: fewer steps and seeds.

    Returns:
        a dict of the numbers that it prints.
    """
    steps, seeds, epochs = (50, 1, 500) if quick else (1000, 20, 1000)
    with lamina.use(backend):
        difference = compare_with_hand(steps)
        print(f"{steps} steps by hand and {steps} by lamina: the largest difference")
        print(f"of any weight after any step is {difference:.1e}.")

        runs = [learn(seed, epochs) for seed in range(seeds)]
        learnt = sum(right for _, right in runs)
        print(f"\nFrom {seeds} random starts, {epochs} epochs each, {learnt} networks learnt XOR.")

        model = next((model for model, right in runs if right), runs[0][0])
        answers = model.predict(POINTS, verbose=0)[:, 0].tolist()
        for point, answer in zip(POINTS, answers, strict=True):
            print(f"  {point[0]:g} xor {point[1]:g} = {answer:.3f}")

        if out is not None:
            picture = pathlib.Path(out) / "xor.png"
            picture.parent.mkdir(parents=True, exist_ok=True)
            plotting.decision_boundary(model, POINTS, ANSWERS, padding=0.4, path=picture)
            print(f"The plane as it sees it: {picture}")
    return {"difference": difference, "learnt": learnt, "seeds": seeds, "answers": answers}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--backend", help="numpy, cupy, ...")
    parser.add_argument("--out", help="folder for pictures")
    parser.add_argument("--quick", action="store_true", help="fewer steps and seeds")
    main(**vars(parser.parse_args()))
