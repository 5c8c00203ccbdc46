"""A network that obeys a law of physics, u'' = -u, having been shown the law and nothing else.

    python examples/physics.py
"""

import argparse

import lamina
from lamina import xp

# A weight on a spring: its acceleration u'' is -u. It starts at u(0) = 0 with speed u'(0) = 1. The
# solution, sin(t), is shown to no one: the network is told how far it breaks the law.
END = 2 * xp.pi
UNITS = 12


def network(w, t):
    """One hidden layer. What it says is multiplied by t**2: u(0) = 0 and u'(0) = 1 are built in."""
    inner, bias, outer = w[:UNITS], w[UNITS : 2 * UNITS], w[2 * UNITS :]
    hidden = xp.tanh(xp.multiply(t[:, None], inner) + bias)
    return xp.matmul(hidden, outer) * t**2 + t


def broken(w, t):
    """How far the law is broken at each of the times: u'' + u.

    ``jvp`` along a direction of ones gives the slope at every time at once; twice, u''.
    """
    ones = xp.ones_like(t)
    u = lambda t: network(w, t)
    speed = lambda t: lamina.jvp(u, (t,), (ones,))[1]
    acceleration = lamina.jvp(speed, (t,), (ones,))[1]
    return acceleration + u(t)


def train(w, t, steps):
    """Levenberg and Marquardt's method: least squares, as if what is broken were linear in w.

        w <- w - (J^T J + damping)^-1 J^T r        r: what is broken, J: its Jacobian in w

    The damping shortens the step until it leads downhill.
    """
    jacobian = lamina.jacobian(broken)
    eye = xp.eye(w.shape[0], dtype=w.dtype)
    damping = 1.0
    r = broken(w, t)
    for _ in range(steps):
        j = jacobian(w, t)
        while damping < 1e12:
            trial = w - xp.linalg.solve(j.mT @ j + damping * eye, xp.matmul(j.mT, r))
            left = broken(trial, t)
            if float(xp.sum(left**2)) < float(xp.sum(r**2)):
                w, r, damping = trial, left, damping / 5
                break
            damping *= 5
    return w, float(xp.mean(r**2))


def main(backend=None, quick=False):
    """Run the example.

    Args:
        backend: "numpy", "cupy", ...; None is NumPy, or what LAMINA_BACKEND says.
        quick: fewer steps.

    Returns:
        a dict of the numbers that it prints.
    """
    with lamina.use(backend) as place:
        t = xp.linspace(0.0, END, 40, dtype=xp.float64)
        draw = lamina.initializers.RandomNormal(stddev=0.5, seed=0)
        w = place.asarray(draw((3 * UNITS,)), "float64")
        w, law = train(w, t, steps=5 if quick else 40)
        between = xp.linspace(0.0, END, 1001, dtype=xp.float64)
        error = float(xp.max(xp.abs(network(w, between) - xp.sin(between))))
        print(f"The law u'' = -u is broken by {law:.1e} (the mean square at {t.shape[0]} times).")
        print(f"From 0 to 2 pi the network is nowhere further than {error:.1e} from sin(t).")
    return {"law": law, "error": error}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--backend", help="numpy, cupy, ...")
    parser.add_argument("--quick", action="store_true", help="fewer steps")
    main(**vars(parser.parse_args()))
