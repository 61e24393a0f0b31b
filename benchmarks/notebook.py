"""The notebooks of the documentation run, their outputs stored: ``python benchmarks/notebook.py``.

Needs nbclient and ipykernel. Pictures are stored in 256 colours: a notebook stays below 300 kB.
"""

from __future__ import annotations

import base64
import io
import os
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image

FOLDER = Path(__file__).parents[1] / "docs" / "notebooks"


def main() -> None:
    """Run each in its folder, write it back."""
    for path in sorted(FOLDER.glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        NotebookClient(notebook, timeout=600, kernel_name="python3").execute(cwd=os.fspath(FOLDER))
        for cell in notebook.cells:
            cell.get("metadata", {}).pop("execution", None)
            # warnings of this machine's packages are nobody else's
            outputs = [o for o in cell.get("outputs", ()) if o.get("name") != "stderr"]
            if "outputs" in cell:
                cell["outputs"] = outputs
            for output in outputs:
                if "image/png" in output.get("data", {}):
                    output["data"]["image/png"] = smaller(output["data"]["image/png"])
        nbformat.write(notebook, path)
        print(path.name, path.stat().st_size // 1000, "kB")


def smaller(text: str) -> str:
    """A picture in base64 with a palette."""
    image = Image.open(io.BytesIO(base64.b64decode(text))).convert("RGB")
    stream = io.BytesIO()
    image.quantize(256, method=Image.Quantize.MEDIANCUT).save(stream, "png", optimize=True)
    return base64.b64encode(stream.getvalue()).decode()


if __name__ == "__main__":
    main()
