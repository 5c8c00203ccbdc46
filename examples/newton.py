"""Newton's method: with second derivatives, the floor of a curved valley in a handful of steps.

    python examples/newton.py
"""

import argparse

import lamina
from lamina import xp


def rosenbrock(x):
    """A valley bent like a banana, steep across and almost flat along; its floor is at (1, 1)."""
    return 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2


def newton(f, x, steps):
    """Go to the lowest point of the parabola that touches f here; again from there.

    x <- x - H^-1 g        g: gradient, H: matrix of second derivatives
    """
    slope, curvature = lamina.grad(f), lamina.hessian(f)
    path = [x]
    for _ in range(steps):
        x = x - xp.linalg.solve(curvature(x), slope(x))
        path.append(x)
    return path


def descend(f, x, steps, rate):
    """Go a little downhill, many times: all that can be done with first derivatives."""
    slope = lamina.grad(f)
    for _ in range(steps):
        x = x - rate * slope(x)
    return x


def main(backend=None, quick=False):
    """Run the example.

    Args:
        backend: "numpy", "cupy", ...; None is NumPy, or what LAMINA_BACKEND says.
        quick: fewer steps of gradient descent.

    Returns:
        a dict of the numbers that it prints.
    """
    with lamina.use(backend):
        start = xp.asarray([-1.2, 1.0], dtype=xp.float64)
        print("Newton's method on Rosenbrock's function:")
        values = []
        path = newton(rosenbrock, start, steps=7)
        for step, x in enumerate(path):
            values.append(float(rosenbrock(x)))
            print(f"  step {step}: f({float(x[0]):9.6f}, {float(x[1]):9.6f}) = {values[-1]:.3g}")

        steps = 100 if quick else 2000
        x = descend(rosenbrock, start, steps, rate=0.001)
        descent = float(rosenbrock(x))
        print(f"\nAfter {steps} steps of gradient descent it is {descent:.3g}. The valley's sides")
        print("allow only small steps, and its floor is too flat for these to lead anywhere.")
        end = [float(path[-1][i]) for i in range(2)]
    return {"values": values, "end": end, "descent": descent}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--backend", help="numpy, cupy, ...")
    parser.add_argument("--quick", action="store_true", help="fewer steps of gradient descent")
    main(**vars(parser.parse_args()))
