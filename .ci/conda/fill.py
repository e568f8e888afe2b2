"""Print the recipe with the version and the SHA-256 of an sdist: `fill.py SDIST`."""

import hashlib
import re
import sys
from pathlib import Path

RECIPE = Path(__file__).with_name("recipe.yaml")


def filled(sdist):
    """Return the text of the recipe for an sdist. Exits with a sentence for any other file."""
    found = re.fullmatch(r"jupyter_kfp_mt-(.+)\.tar\.gz", sdist.name)
    if not found or not sdist.is_file():
        sys.exit(f"{sdist} is not an sdist of this package: name dist/jupyter_kfp_mt-*.tar.gz.")
    text = RECIPE.read_text(encoding="utf-8")
    text = re.sub(r"(?m)^  version: .*", f'  version: "{found[1]}"', text, count=1)
    digest = hashlib.sha256(sdist.read_bytes()).hexdigest()
    return text.replace("SHA256-OF-THE-SDIST", digest)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("Name one file: python .ci/conda/fill.py dist/jupyter_kfp_mt-1.2.3.tar.gz")
    print(filled(Path(sys.argv[1])), end="")
