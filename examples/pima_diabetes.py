"""Who gets diabetes? The classic first Keras model, on eight measurements of 768 women.

    python examples/pima_diabetes.py
    LAMINA_DATA=folder python examples/pima_diabetes.py    # where the file is already there
"""

import argparse

import lamina
from lamina import datasets, layers


def network():
    """8 inputs, 16 and 8 hidden neurons, 1 output: the probability of diabetes."""
    return lamina.Sequential(
        [
            layers.Dense(16, input_dim=8, kernel_initializer="uniform", activation="relu"),
            layers.Dense(8, kernel_initializer="uniform", activation="relu"),
            layers.Dense(1, kernel_initializer="uniform", activation="sigmoid"),
        ]
    )


def train(x, y, seed, epochs, verbose):
    """The model trained from the random start of ``seed``, and its training accuracy."""
    lamina.utils.set_random_seed(seed)
    model = network()
    model.compile(loss="binary_crossentropy", optimizer="adam", metrics=["accuracy"])
    model.fit(x, y, epochs=epochs, batch_size=10, verbose=verbose)
    scores = model.evaluate(x, y, verbose=0)
    print(f"seed {seed}: {model.metrics_names[1]}: {scores[1] * 100:.2f}%")
    return model, scores[1]


def main(backend=None, quick=False, seeds=3, verbose=0):
    """Run the example.

    Args:
        backend: "numpy", "cupy", ...; None is NumPy, or what LAMINA_BACKEND says.
        quick: train for a few epochs only.
        seeds: how many random starts to train from.
        verbose: 1 shows the progress of every epoch.

    Returns:
        a dict of the numbers that it prints.
    """
    with lamina.use(backend):
        # As in the tutorial the measurements go in as they are, insulin in the hundreds beside a
        # pedigree below one. It works, slowly; layers.Normalization() would make it easier.
        x, y = datasets.pima_diabetes.load_data()
        print(f"{len(y)} women, {int(y.sum())} with diabetes: always saying no is right for")
        print(f"{(1 - y.mean()) * 100:.2f}%. That is what an accuracy has to beat.\n")
        network().summary()
        print()
        epochs = 15 if quick else 150
        runs = [train(x, y, seed, epochs, verbose) for seed in range(seeds)]
        model = runs[0][0]
        asked = model.predict(x[:5], verbose=0)[:, 0]
        print("\nThe first five women:")
        for chance, truth in zip(asked, y[:5], strict=True):
            name = datasets.pima_diabetes.CLASS_NAMES[truth]
            print(f"  probability of diabetes {chance:.2f}, it was {name}")
    # One run hides two things. With inputs of such different sizes every epoch still moves the
    # accuracy by a point or two, so where training stops is partly luck. And of 60 seeds, 57 reach
    # 76 %, one just misses it, and in two every relu of the second layer dies in the first epochs:
    # its sum falls below zero for every woman, its slope is zero then, and nothing can bring it
    # back. Such a network always says no. The same happens in other libraries.
    print("\nThese are accuracies on the data it was trained on, as the tutorial has them; on")
    print("women it has not seen it does less well: digits.py keeps data aside to see.")
    return {"accuracies": [accuracy for _, accuracy in runs]}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--backend", help="numpy, cupy, ...")
    parser.add_argument("--quick", action="store_true", help="fewer epochs")
    parser.add_argument("--seeds", type=int, default=3, help="how many random starts")
    parser.add_argument("--verbose", type=int, default=0, help="1 shows a progress bar")
    main(**vars(parser.parse_args()))
