"""Libraries of lamina's kind, in plain Python on NumPy, on the *cnn*; see ``peers.py``.

Each as its own examples write it. They are small and may be missing; their rows then say so.
"""

import numpy as np


def give_old_names():
    """dezero's last release is older than NumPy 1.24, which took ``np.int`` away."""
    vars(np)["int"] = int


def dezero(work, how, backend):
    import dezero
    import dezero.functions as F
    import dezero.layers as L

    class Net(dezero.Model):
        def __init__(self):
            super().__init__()
            self.first, self.second, self.out = L.Conv2d(32, 3), L.Conv2d(64, 3), L.Linear(10)

        def forward(self, x):
            x = F.pooling(F.relu(self.first(x)), 2, 2)
            x = F.pooling(F.relu(self.second(x)), 2, 2)
            return self.out(F.reshape(x, (x.shape[0], -1)))

    model = Net()
    optimizer = dezero.optimizers.Adam().setup(model)
    x, y = _channels_first(work)

    def run(steps):
        for _ in range(steps):
            loss = F.softmax_cross_entropy(model(x), y)
            model.cleargrads()
            loss.backward()
            optimizer.update()

    return run


def pydynet(work, how, backend):
    import pydynet
    import pydynet.nn.functional as F
    from pydynet import nn
    from pydynet.optim import Adam

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Conv2d(1, 32, 3, dtype=np.float32)
            self.second = nn.Conv2d(32, 64, 3, dtype=np.float32)
            self.out = nn.Linear(1600, 10, dtype=np.float32)

        def forward(self, x):
            x = F.max_pool2d(F.relu(self.first(x)), 2, 2)
            x = F.max_pool2d(F.relu(self.second(x)), 2, 2)
            return self.out(x.reshape(x.shape[0], -1))

    model = Net()
    optimizer = Adam(model.parameters())
    x, y = _channels_first(work)
    x, y = pydynet.Tensor(x), pydynet.Tensor(y)

    def run(steps):
        for _ in range(steps):
            loss = F.cross_entropy_loss(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return run


def smallpebble(work, how, backend):
    import smallpebble as sp

    x, y = work.data()
    inputs, targets = sp.Placeholder(), sp.Placeholder()
    pool = lambda a: sp.maxpool2d(a, 2, 2, "VALID", [2, 2])
    h = sp.Lazy(lambda a: pool(sp.leaky_relu(a)))(sp.convlayer(3, 3, 1, 32)(inputs))
    h = sp.Lazy(lambda a: pool(sp.leaky_relu(a)))(sp.convlayer(3, 3, 32, 64)(h))
    h = sp.Lazy(lambda a: sp.reshape(a, (len(x), 1600)))(h)
    h = sp.Lazy(sp.softmax)(sp.linearlayer(1600, 10)(h))
    graph = sp.Lazy(lambda p, t: sp.cross_entropy(p, t.array))(h, targets)
    learned, adam = sp.get_learnables(graph), sp.Adam()
    for variable in learned:  # or every number would be one of float64
        variable.array = variable.array.astype("float32")
    inputs.assign_value(sp.Variable(x))
    targets.assign_value(sp.Variable(y))

    def run(steps):
        for _ in range(steps):
            adam.training_step(learned, sp.get_gradients(graph.run()))

    return run


def _channels_first(work):
    x, y = work.data()
    return np.ascontiguousarray(np.moveaxis(x, -1, 1)), y
