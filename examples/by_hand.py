"""Two forward passes small enough to do in your head, then the same networks as models.

    python examples/by_hand.py
"""

import argparse

import lamina
from lamina import layers, xp


def main(backend=None, quick=False):
    """Run the example.

    Args:
        backend: "numpy", "cupy", ...; None is NumPy, or what LAMINA_BACKEND says.
        quick: accepted by all examples; this one is quick anyway.

    Returns:
        a dict of the numbers that it prints.
    """
    with lamina.use(backend):
        linear = plain_sums()
        rectified = with_relu()
    return {"linear": linear, "relu": rectified}


def plain_sums():
    """A network that only adds up: two inputs, two hidden numbers, one output."""
    inputs = xp.asarray([3.0, 4.0])
    first, second = xp.asarray([1.0, 1.0]), xp.asarray([-1.0, 1.0])
    out = xp.asarray([2.0, -1.0])

    # Every number in a network is a dot product: inputs times weights, added up.
    hidden = [float(inputs @ first), float(inputs @ second)]
    output = float(xp.asarray(hidden) @ out)
    print("Inputs (3, 4), no activation")
    print(f"  hidden 1   3 * 1 + 4 * 1  = {hidden[0]:g}")
    print(f"  hidden 2   3 * -1 + 4 * 1 = {hidden[1]:g}")
    print(f"  output     {hidden[0]:g} * 2 + {hidden[1]:g} * -1 = {output:g}")

    # In a model the weights of a layer are the columns of one matrix, its kernel, so that one
    # matrix product does all of its dot products, for a whole batch of inputs.
    model = lamina.Sequential(
        [layers.Input((2,)), layers.Dense(2, use_bias=False), layers.Dense(1, use_bias=False)]
    )
    model.set_weights([[[1.0, -1.0], [1.0, 1.0]], [[2.0], [-1.0]]])
    by_model = float(model.predict([[3.0, 4.0]], verbose=0)[0, 0])
    print(f"  the model says {by_model:g}")
    return {"hidden": hidden, "output": output, "model": by_model}


def with_relu():
    """The same shape with relu, which passes what is above zero and blocks what is below."""
    inputs = xp.asarray([3.0, 4.0])
    first, second = xp.asarray([2.0, 4.0]), xp.asarray([4.0, -5.0])
    out = xp.asarray([2.0, 7.0])

    sums = [float(inputs @ first), float(inputs @ second)]
    hidden = [max(total, 0.0) for total in sums]
    output = float(xp.asarray(hidden) @ out)
    print("\nInputs (3, 4), relu after the hidden sums")
    print(f"  hidden 1   relu(3 * 2 + 4 * 4)  = relu({sums[0]:g}) = {hidden[0]:g}")
    print(f"  hidden 2   relu(3 * 4 + 4 * -5) = relu({sums[1]:g}) = {hidden[1]:g}")
    print(f"  output     {hidden[0]:g} * 2 + {hidden[1]:g} * 7 = {output:g}")

    # Without an activation two layers are no more than one: a matrix times a matrix is a matrix.
    # That little bend at zero is what lets a network bend its answers.
    model = lamina.Sequential(
        [
            layers.Input((2,)),
            layers.Dense(2, activation="relu", use_bias=False),
            layers.Dense(1, use_bias=False),
        ]
    )
    model.set_weights([[[2.0, 4.0], [4.0, -5.0]], [[2.0], [7.0]]])
    by_model = float(model.predict([[3.0, 4.0]], verbose=0)[0, 0])
    print(f"  the model says {by_model:g}")
    return {"sums": sums, "hidden": hidden, "output": output, "model": by_model}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--backend", help="numpy, cupy, ...")
    main(**vars(parser.parse_args()))
