"""``python -m lamina``: what is installed, which device is there, and is it working.

``--json`` prints the same facts for a program, or for a bug report.
"""

import argparse
import json
import os

from lamina.backend import diagnose
from lamina.datasets import fetch


def main(arguments: list[str] | None = None) -> int:
    """Print the report on this machine."""
    parser = argparse.ArgumentParser(prog="python -m lamina", description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print the facts as JSON")
    options = parser.parse_args(arguments)

    facts = diagnose.report()
    facts["data"] = [str(folder) for folder in (*fetch.data_folders(), fetch.cache_folder())]
    facts["environment"] = {k: v for k, v in sorted(os.environ.items()) if k.startswith("LAMINA_")}
    if options.json:
        print(json.dumps(facts, indent=2))
    else:
        print(diagnose.text(facts))
        print(f"{'data sets':<18}{', '.join(facts['data'])}")
        for name, value in facts["environment"].items():
            print(f"{name:<18}{value}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
