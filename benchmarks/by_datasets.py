"""The mix as a script with Hugging Face `datasets` makes it, from a cold cache.

Loads each module, repeats and draws by its weight, concatenates, shuffles, writes JSON lines. It
checks no row, hashes nothing and writes neither ledger nor manifest.

    HF_DATASETS_CACHE=EMPTY python benchmarks/by_datasets.py CORPUS OUTPUT
"""

from __future__ import annotations

import sys
from pathlib import Path

from corpus import SEED, CorpusModule, read_corpus
from datasets import Dataset, concatenate_datasets, load_dataset


def main() -> None:
    """Write the mix of a corpus."""
    corpus = read_corpus(Path(sys.argv[1]))
    parts = [part for module in corpus.modules for part in _parts(module)]
    mix = concatenate_datasets(parts).shuffle(seed=SEED)
    mix.to_json(sys.argv[2], force_ascii=False)


def _parts(module: CorpusModule) -> list[Dataset]:
    """Return the module's whole copies, and the rows drawn for its fraction."""
    rows = load_dataset("json", data_files=str(module.path), split="train")
    parts = []
    if module.whole:
        parts.append(rows.repeat(module.whole))
    if module.drawn:
        parts.append(rows.shuffle(seed=SEED).take(module.drawn))
    return parts


if __name__ == "__main__":
    main()
