"""Batch normalization."""

import math
from functools import partial

from lamina import backend, initializers, xp
from lamina.autograd import Tensor
from lamina.errors import warn
from lamina.layers import _passes
from lamina.layers._casting import widened
from lamina.layers._scaled import Scaled
from lamina.ops.normalization import batch_normalization, standardize


class BatchNormalization(Scaled):
    """``(inputs - mean) / sqrt(variance + epsilon) * gamma + beta``, channel by channel.

    In training, mean and variance are those of the batch: of every channel over all samples and
    positions, the variance divided by their number n (not n - 1). When the step is done, they enter
    the moving averages, which take their place when the model is used:

        moving = moving * momentum + statistic * (1 - momentum)

    At the momentum of 0.99, which is Keras's, they take some 300 steps to forget where they
    started: after a shorter run a model may test badly that trains well. At 0.9, which
    ``applications.ResidualBlock`` has, they take 30.

    With ``trainable=False`` it uses and keeps the moving averages in training too. Batches are
    normalized as a whole, whatever the number of workers.

    Args:
        axis: the axis of the channels, counted with the batch as 0.
        momentum: how much of a moving average stays in each step.
        epsilon: keeps a channel that hardly varies from being blown up.
        center, scale: whether there is a beta, a gamma.
        beta_initializer, gamma_initializer, moving_mean_initializer, moving_variance_initializer:
            where the weights start.
        beta_regularizer, gamma_regularizer: penalties on them, added to the loss.
        beta_constraint, gamma_constraint: what they satisfy after every step.
        renorm: whether the batch is normalized, in effect, by slowly moving averages: batch
            renormalization, for batches that are small or whose samples resemble one another.
        renorm_clipping: a dict of "rmin", "rmax" and "dmax": how far the batch's deviation and mean
            may be from the averages'.
        renorm_momentum: the momentum of these averages.
        synchronized: accepted for Keras's sake: a batch is never spread over devices.

    Shapes:
        inputs (batch, ..., channels); every weight (channels,); result as inputs. The weights are
        gamma, beta, moving_mean and moving_variance, in this order.

    Source: Ioffe and Szegedy, "Batch normalization", 2015; Ioffe, "Batch renormalization", 2017.
    """

    def __init__(
        self,
        axis=-1,
        momentum=0.99,
        epsilon=1e-3,
        center=True,
        scale=True,
        beta_initializer="zeros",
        gamma_initializer="ones",
        moving_mean_initializer="zeros",
        moving_variance_initializer="ones",
        beta_regularizer=None,
        gamma_regularizer=None,
        beta_constraint=None,
        gamma_constraint=None,
        renorm=False,
        renorm_clipping=None,
        renorm_momentum=0.99,
        synchronized=False,
        **kwargs,
    ):
        options = {
            "beta_initializer": beta_initializer,
            "gamma_initializer": gamma_initializer,
            "beta_regularizer": beta_regularizer,
            "gamma_regularizer": gamma_regularizer,
            "beta_constraint": beta_constraint,
            "gamma_constraint": gamma_constraint,
        }
        super().__init__(epsilon, center, scale, options, **kwargs)
        if isinstance(axis, bool) or not isinstance(axis, int):
            raise ValueError(f"{self} needs axis as a whole number, got {axis!r}")
        for name, value in (("momentum", momentum), ("renorm_momentum", renorm_momentum)):
            if not 0 <= value <= 1:
                raise ValueError(f"{self} needs {name} from 0 to 1, got {value!r}")
        self.axis = axis
        self.momentum = momentum
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)
        self.renorm = renorm
        self.renorm_clipping = _clipping(self, renorm_clipping)
        self.renorm_momentum = renorm_momentum
        self.synchronized = synchronized
        self.moving_mean = self.moving_variance = None
        self._warned = False

    @property
    def uses_whole_batch(self) -> bool:
        """Whether samples depend on one another in training: where it is not frozen."""
        return self.trainable

    @property
    def exchanges(self) -> bool:
        """Whether shards of a batch may run side by side, each with the statistics of all."""
        return not self.renorm

    def build(self, input_shape):
        shape = (input_shape[self.axis],)
        self.add_scale(shape)
        kept = partial(self.add_weight, shape, trainable=False)
        self.moving_mean = kept(self.moving_mean_initializer, name="moving_mean")
        self.moving_variance = kept(self.moving_variance_initializer, name="moving_variance")
        if self.renorm:
            root = xp.sqrt(self.moving_variance.data)
            self.moving_stddev = kept("zeros", name="moving_stddev")
            self.renorm_mean = kept(self.moving_mean_initializer, name="renorm_mean")
            self.renorm_stddev = kept("zeros", name="renorm_stddev")
            self.moving_stddev.assign(root)
            self.renorm_stddev.assign(root)

    def call(self, inputs, training=False):
        options = {"axis": self.axis, "epsilon": self.epsilon}
        inputs = widened(inputs)  # whose sums would overflow
        if not (training and self.trainable) or not math.prod(inputs.shape):
            mean, variance = self.moving_mean, self.moving_variance
            return standardize(inputs, mean, variance, self.gamma, self.beta, **options)
        current = _passes.current()
        exchange = None if current is None else current.exchange
        if exchange is not None:  # every shard's mathematics, at the same place of the network
            options["exchange"] = lambda what, *given: exchange((self.name, what), *given)
        elif math.prod(inputs.shape) == inputs.shape[self.axis]:
            self._warn_of_one()
        if self.renorm:
            return self._renormalized(inputs, options)
        out, mean, variance = batch_normalization(inputs, self.gamma, self.beta, **options)
        self._average(self.moving_mean, mean, self.momentum)
        self._average(self.moving_variance, variance, self.momentum)
        return out

    def _average(self, parameter, value, momentum) -> None:
        value = value.data if isinstance(value, Tensor) else value
        _passes.add_update(
            parameter, lambda old: old * momentum + value * (1.0 - momentum), of_batch=True
        )

    def _renormalized(self, inputs, options):
        """``((inputs - mean) / stddev * r + d) * gamma + beta``, r and d constants.

        r and d are what would make of the batch's statistics the moving ones (Ioffe 2017,
        algorithm 1); they are cut to the clipping.
        """
        out, mean, variance = batch_normalization(inputs, None, None, **options)
        mean, variance = (v.data if isinstance(v, Tensor) else v for v in (mean, variance))
        space, limits = backend.namespace(mean), self.renorm_clipping
        stddev = space.sqrt(variance + self.epsilon)
        known = space.clip(self.renorm_stddev.data, math.sqrt(self.epsilon), None)
        r = space.clip(stddev / known, limits.get("rmin"), limits.get("rmax"))
        d = (mean - self.renorm_mean.data) / known
        if limits.get("dmax") is not None:
            d = space.clip(d, -limits["dmax"], limits["dmax"])
        self._average(self.renorm_mean, mean, self.renorm_momentum)
        self._average(self.renorm_stddev, stddev, self.renorm_momentum)
        self._average(self.moving_mean, mean, self.momentum)
        self._average(self.moving_stddev, stddev, self.momentum)
        _passes.add_update(
            self.moving_variance,
            lambda _: space.clip(self.moving_stddev.data**2 - self.epsilon, 0.0, None),
            of_batch=True,
        )
        along = [1] * len(inputs.shape)
        along[self.axis] = -1
        out = out * space.reshape(r, tuple(along)) + space.reshape(d, tuple(along))
        if self.gamma is not None:
            out = out * xp.reshape(self.gamma, tuple(along))
        return out if self.beta is None else out + xp.reshape(self.beta, tuple(along))

    def _warn_of_one(self) -> None:
        if not self._warned:
            self._warned = True
            warn(
                f"{self} trained on a batch with one value per channel, whose variance is 0: its "
                "output was beta whatever the input, and the 0 entered the moving variance; choose "
                "a batch_size that leaves no batch of one"
            )

    def check_input(self, shape):
        super().check_input(shape)
        self.check_axes([self.axis], shape)
        channels = self.moving_mean.shape[0] if self.built else shape[self.axis]
        if shape[self.axis] != channels:
            remedy = ""
            if len(shape) > 2 and shape[1 if self.axis in (-1, len(shape) - 1) else -1] == channels:
                remedy = "are the channels along another axis? pass axis="
            raise self.input_error(f"{channels} channels along axis {self.axis}", shape, remedy)

    def get_config(self):
        return {
            **super().get_config(),
            "axis": self.axis,
            "momentum": self.momentum,
            "moving_mean_initializer": initializers.serialize(self.moving_mean_initializer),
            "moving_variance_initializer": initializers.serialize(self.moving_variance_initializer),
            "renorm": self.renorm,
            "renorm_clipping": self.renorm_clipping or None,
            "renorm_momentum": self.renorm_momentum,
            "synchronized": self.synchronized,
        }


def _clipping(layer, given) -> dict:
    """``renorm_clipping``, checked."""
    limits = dict(given or {})
    if limits.keys() - {"rmin", "rmax", "dmax"}:
        raise ValueError(
            f'{layer} needs renorm_clipping with keys among "rmin", "rmax", "dmax", got {given!r}'
        )
    low, high = limits.get("rmin"), limits.get("rmax")
    if low is not None and high is not None and low > high:
        raise ValueError(f"{layer} needs an rmax not below rmin, got {given!r}")
    if (limits.get("dmax") or 0) < 0:
        raise ValueError(f"{layer} needs a dmax from 0 on, got {given!r}")
    return limits
