"""tanh and its first six derivatives, each made from the one before by ``lamina.grad``.

    python examples/derivatives.py --out pictures
"""

import argparse
import pathlib

import lamina
from lamina import xp

ORDERS = 6
COLORS = ("black", "#4477aa", "#66ccee", "#228833", "#ccbb44", "#ee6677", "#aa3377")


def derivative(f):
    """f' as a function of an array, number by number: the gradient of a sum is all slopes."""
    return lamina.grad(lambda x: xp.sum(f(x)))


def closed_form(order, x):
    """The same with pen and paper.

    As t = tanh(x) has t' = 1 - t**2, a polynomial p(t) has the derivative p'(t) (1 - t**2): each
    derivative is a polynomial of the one number t, here a list of coefficients, lowest first.
    """
    p = [0.0, 1.0]
    for _ in range(order):
        slope = [k * c for k, c in enumerate(p)][1:]
        p = [a - b for a, b in zip([*slope, 0.0, 0.0], [0.0, 0.0, *slope], strict=True)]
    t = xp.tanh(x)
    return sum(c * t**k for k, c in enumerate(p))


def draw(x, curves, path):
    """One curve for each order, each divided by its largest value, so that all can be seen."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.2), layout="constrained", dpi=120)
    axis = figure.add_subplot()
    axis.axhline(0, color="0.7", linewidth=0.8)
    for order, curve in enumerate(curves):
        largest = max(abs(value) for value in curve)
        name = "tanh" if order == 0 else f"derivative {order}, at most {largest:.3g}"
        axis.plot(x, [v / largest for v in curve], color=COLORS[order], linewidth=1.8, label=name)
    axis.set_xlabel("x")
    axis.set_ylabel("divided by its largest value")
    axis.set_xlim(x[0], x[-1])
    axis.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right upper", frameon=False, fontsize="small")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def main(backend=None, out=None, quick=False):
    """Run the example.

    Args:
        backend: "numpy", "cupy", ...; None is NumPy, or what LAMINA_BACKEND says.
        out: a folder for the picture; None draws nothing.
        quick: fewer points.

    Returns:
        a dict of the numbers that it prints.
    """
    with lamina.use(backend):
        x = xp.linspace(-4.0, 4.0, 41 if quick else 401, dtype=xp.float64)
        f, curves, worst = xp.tanh, [xp.tanh(x)], 0.0
        print("order  at 0.5       off the closed form by at most")
        half = xp.asarray(0.5, dtype=xp.float64)
        for order in range(1, ORDERS + 1):
            f = derivative(f)
            curves.append(f(x))
            difference = float(xp.max(xp.abs(curves[-1] - closed_form(order, x))))
            worst = max(worst, difference)
            print(f"{order:5}  {float(f(half)):11.7f}  {difference:.1e}")
        if out is not None:
            picture = pathlib.Path(out) / "derivatives.png"
            lists = [[float(value) for value in curve] for curve in (x, *curves)]
            draw(lists[0], lists[1:], picture)
            print(f"All of them: {picture}")
        return {"difference": worst, "at_half": [float(f(half)), float(closed_form(ORDERS, half))]}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--backend", help="numpy, cupy, ...")
    parser.add_argument("--out", help="folder for the picture")
    parser.add_argument("--quick", action="store_true", help="fewer points")
    main(**vars(parser.parse_args()))
