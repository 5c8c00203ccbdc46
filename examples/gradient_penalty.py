"""Two networks against each other, kept in check by a gradient of a gradient (WGAN-GP).

    python examples/gradient_penalty.py

A generator makes points out of noise; a critic learns to tell them from the real ones, and so tells
the generator which way to move them. Source: Gulrajani et al., "Improved training of Wasserstein
GANs", 2017.
"""

import argparse

import lamina
from lamina import layers, optimizers, xp

BATCH, CRITIC_STEPS, PENALTY = 64, 3, 1.0


def network(inputs, outputs):
    return lamina.Sequential(
        [
            layers.Input((inputs,)),
            layers.Dense(32, "leaky_relu"),
            layers.Dense(32, "leaky_relu"),
            layers.Dense(outputs),
        ]
    )


class Points:
    """Points on half a circle, real and to be imitated, and the noise to make them of."""

    def __init__(self, place, seed):
        self.place = place
        self.random = lamina.backend.random.Generator(seed)

    def uniform(self, *shape):
        return self.place.asarray(self.random.uniform(shape))

    def noise(self, count):
        return self.place.asarray(self.random.normal((count, 2)))

    def real(self, count):
        angle = xp.pi * self.uniform(count)
        return xp.stack([xp.cos(angle), xp.sin(angle)], axis=-1) + 0.05 * self.noise(count)


def critic_loss(critic, real, fake, share):
    """How badly the critic tells real from fake, plus the penalty for a slope other than 1.

    The slope is taken at points between real and fake ones. It is a gradient in the points, and the
    critic's weights are then moved against the gradient of the whole: second derivatives.
    """
    between = fake * (1 - share) + real * share
    slopes = lamina.grad(lambda points: xp.sum(critic(points)))(between)
    length = xp.sqrt(xp.sum(slopes**2, axis=-1) + 1e-12)
    told_apart = xp.mean(critic(real)) - xp.mean(critic(fake))
    loss = PENALTY * xp.mean((length - 1) ** 2) - told_apart
    return loss, xp.mean(length).item()


def step(loss, model, optimizer):
    """Move the weights of a model against the gradient of ``loss``."""
    weights = model.trainable_weights
    for weight in weights:
        weight.grad = None
    loss.backward()
    optimizer.apply([weight.grad for weight in weights], weights)


def distance(a, b):
    """The energy distance of two clouds of points: 0 only where they are spread alike."""

    def apart(a, b):
        return xp.mean(xp.sqrt(xp.sum((a[:, None, :] - b[None, :, :]) ** 2, axis=-1)))

    return float(2 * apart(a, b) - apart(a, a) - apart(b, b))


def main(backend=None, quick=False, seed=0):
    """Run the example.

    Args:
        backend: "numpy", "cupy", ...; None is NumPy, or what LAMINA_BACKEND says.
        quick: a few steps only.
        seed: of the weights and of the points.

    Returns:
        a dict of the numbers that it prints.
    """
    with lamina.use(backend) as place:
        lamina.utils.set_random_seed(seed)
        points = Points(place, seed)
        critic, generator = network(2, 1), network(2, 2)
        rules = [optimizers.Adam(0.003, beta_1=0.5, beta_2=0.9) for _ in range(2)]
        real, noise = points.real(500), points.noise(500)
        made = lambda noise: lamina.stop_gradient(generator(noise))
        before = distance(made(noise), real)
        for _ in range(2 if quick else 600):
            for _ in range(CRITIC_STEPS):
                fake, share = made(points.noise(BATCH)), points.uniform(BATCH, 1)
                loss, slope = critic_loss(critic, points.real(BATCH), fake, share)
                step(loss, critic, rules[0])
            step(-xp.mean(critic(generator(points.noise(BATCH)))), generator, rules[1])
        after = distance(made(noise), real)
        print(f"Distance of the points made from the real ones: {before:.3f} before,")
        print(f"{after:.3f} after training.")
        print(f"The critic's slope, held near 1 by the penalty, is {slope:.2f} on average.")
    return {"before": before, "after": after, "slope": slope}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--backend", help="numpy, cupy, ...")
    parser.add_argument("--quick", action="store_true", help="a few steps only")
    parser.add_argument("--seed", type=int, default=0, help="of the weights and of the points")
    main(**vars(parser.parse_args()))
