"""One neuron: what it computes, and how it learns. Everything else is many of these.

    python examples/neuron.py
"""

import argparse

import lamina
from lamina import xp


def neuron(point, weights, bias):
    """A weighted sum of the inputs, squashed into (0, 1): near 1 means "yes", near 0 "no"."""
    return 1 / (1 + xp.exp(-(xp.vecdot(point, weights) + bias)))


def error(weights, bias, point, target):
    """How wrong the neuron is. The square makes it zero when right and steeper when more wrong."""
    return (neuron(point, weights, bias) - target) ** 2


def gradient_by_hand(weights, bias, point, target):
    """The slope of ``error`` in each weight and in the bias, by the chain rule.

    error = (p - target)**2     d error / d p  = 2 * (p - target)
    p = 1 / (1 + exp(-z))       d p / d z      = p * (1 - p)
    z = point . weights + bias  d z / d weights = point,  d z / d bias = 1
    """
    p = neuron(point, weights, bias)
    slope = 2 * (p - target) * p * (1 - p)
    return slope * point, slope


def main(backend=None, quick=False):
    """Run the example.

    Args:
        backend: "numpy", "cupy", ...; None is NumPy, or what LAMINA_BACKEND says.
        quick: accepted by all examples; this one is quick anyway.

    Returns:
        a dict of the numbers that it prints.
    """
    with lamina.use(backend):
        return run()


def run():
    # 1. Similarity. The dot product is large where two vectors point the same way: it is the
    # question that a neuron asks of its inputs.
    vector = xp.asarray([1.72, 1.23])
    others = xp.asarray([[1.26, 0.0], [2.17, 0.32]])
    dots = [float(xp.vecdot(vector, others[i, :])) for i in range(2)]
    print("How alike are they? Dot products of [1.72, 1.23] with")
    print(f"  [1.26, 0.00]  {dots[0]:.4f}")
    print(f"  [2.17, 0.32]  {dots[1]:.4f}  <- more alike")

    # 2. Prediction. The weights are somebody's guess, and right for one point only.
    points = xp.asarray([[1.66, 1.56], [2.0, 1.5]])
    targets = xp.asarray([1.0, 0.0])
    weights, bias = xp.asarray([1.45, -0.66]), xp.asarray(0.0)
    before = [float(neuron(points[i, :], weights, bias)) for i in range(2)]
    print("\nA sigmoid neuron with weights [1.45, -0.66] and bias 0 says")
    print(f"  [1.66, 1.56]  {before[0]:.7f}  should be 1: right")
    print(f"  [2.00, 1.50]  {before[1]:.8f} should be 0: wrong")

    # 3. A gradient says how the error changes as each number grows. Whoever can differentiate by
    # hand can check lamina.grad; nobody has to again.
    wrong, target = points[1, :], targets[1]
    by_hand = gradient_by_hand(weights, bias, wrong, target)
    found = lamina.grad(error, argnums=(0, 1))(weights, bias, wrong, target)
    difference = max(float(xp.max(xp.abs(f - h))) for f, h in zip(found, by_hand, strict=True))
    print("\nThe gradient of the error at the wrong point")
    print(f"  by the chain rule  {_show(by_hand)}")
    print(f"  by lamina.grad     {_show(found)}")

    # 4. Learning. Step against the gradient, again and again. Each point asks for a different
    # change, so both take part in every step. We stop when both answers are right by a margin.
    def total_error(weights, bias):
        return xp.sum(error(weights, bias, points, targets))

    rate, steps = 1.0, 0
    slopes = lamina.value_and_grad(total_error, argnums=(0, 1))
    print(f"\nGradient descent with a learning rate of {rate}")
    while True:
        value, (weight_slope, bias_slope) = slopes(weights, bias)
        p = [float(neuron(points[i, :], weights, bias)) for i in range(2)]
        done = p[0] > 0.6 and p[1] < 0.4
        if done or steps in (0, 1, 10) or steps % 50 == 0:
            print(f"  step {steps:4}  error {float(value):.4f}  answers {p[0]:.3f} {p[1]:.3f}")
        if done or steps == 5000:
            break
        weights = weights - rate * weight_slope
        bias = bias - rate * bias_slope
        steps += 1
    print(f"Both points are right after {steps} steps." if done else "It did not learn.")
    return {
        "dots": dots,
        "before": before,
        "after": p,
        "gradient_difference": difference,
        "steps": steps,
    }


def _show(gradient):
    by_weight, by_bias = gradient
    return f"weights {float(by_weight[0]):.6f} {float(by_weight[1]):.6f}  bias {float(by_bias):.6f}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--backend", help="numpy, cupy, ...")
    main(**vars(parser.parse_args()))
