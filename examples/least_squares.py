"""Least squares within a derivative: the line is solved for, the bend in it is learnt.

    python examples/least_squares.py
"""

import argparse

import lamina
from lamina import xp

# What was measured: a sum of two decays, 3 * exp(-t / 0.5) + 1 * exp(-t / 2). How much of each
# there is enters linearly and can be solved for; how fast each decays does not, and is searched.
AMOUNTS, TIMES = (3.0, 1.0), (0.5, 2.0)


def decays(t, times):
    """One column for each of the times: exp(-t / time)."""
    return xp.exp(xp.divide(-t[:, None], times))


def fit(columns, y):
    """The amounts a for which columns @ a comes closest to y: (C^T C) a = C^T y."""
    return xp.linalg.solve(columns.mT @ columns, xp.matmul(columns.mT, y))


def misfit(logs, t, y):
    """The mean square of what is left when the best amounts for these times are taken.

    The amounts depend on the times, through ``solve``, and so does the gradient.
    """
    columns = decays(t, xp.exp(logs))  # of logarithms, so that times stay positive
    return xp.mean((xp.matmul(columns, fit(columns, y)) - y) ** 2)


def main(backend=None, quick=False):
    """Run the example.

    Args:
        backend: "numpy", "cupy", ...; None is NumPy, or what LAMINA_BACKEND says.
        quick: accepted by all examples; this one is quick anyway.

    Returns:
        a dict of the numbers that it prints.
    """
    with lamina.use(backend):
        t = xp.linspace(0.0, 6.0, 100, dtype=xp.float64)
        y = decays(t, xp.asarray(TIMES, dtype=xp.float64)) @ xp.asarray(AMOUNTS, dtype=xp.float64)
        logs = xp.log(xp.asarray([0.3, 3.0], dtype=xp.float64))

        slope, curvature = lamina.grad(misfit), lamina.hessian(misfit)
        eye = xp.eye(2, dtype=xp.float64)
        damping, value, steps = 1e-3, float(misfit(logs, t, y)), 0
        print(f"start      misfit {value:.2e}  times 0.3000, 3.0000")
        while value > 1e-20 and steps < 50:
            steps += 1
            # Newton's step, shortened until it leads downhill (Levenberg and Marquardt's way)
            trial = logs - xp.linalg.solve(curvature(logs, t, y) + damping * eye, slope(logs, t, y))
            lower = float(misfit(trial, t, y))
            if lower < value:
                logs, value, damping = trial, lower, damping / 10
            else:
                damping *= 10
        times = [float(time) for time in xp.exp(logs)]
        amounts = [float(amount) for amount in fit(decays(t, xp.exp(logs)), y)]
        print(f"{steps:2} steps   misfit {value:.2e}  times {times[0]:.4f}, {times[1]:.4f}")
        print(f"amounts solved for at the end: {amounts[0]:.4f} and {amounts[1]:.4f}")
    return {"times": times, "amounts": amounts, "misfit": value, "steps": steps}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--backend", help="numpy, cupy, ...")
    main(**vars(parser.parse_args()))
