"""Makes the weights of the encoder that tells kinds of messages apart (`bot.kinds`): `make tune`, an hour on two cores.

Two steps, since the trainer's library (torch) is none of the server's: `texts` gathers what `make fit` learns from, too; `train` trains the
embedder's layers on, in the environment of sentence-transformers. `make tune` trains twice: all twelve layers, then the first eight of
these, with a new map from their vectors to kinds. The upper layers of a model that is trained on bring least (Sajjad et al. 2023, "On the
effect of dropping layers of pre-trained transformer models"), and a message waits for each of them.

Messages that are held out are not learnt from. The weights that come along learnt the first round from the messages of that time, and in
the second from all but `community-english`, `contrast-terse-english`, `danger-and-near`, `honest-abroad` and `roman-south-asia`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ingest.distil import WORDS, arguments, batches, learn, run, student, teacher, written

LAYERS, EPOCHS, BATCH = 8, 2.0, 32
RATE, MAP_RATE = 1.3e-4, 2e-3
"""Of learning: of the layers, and of the map from vectors to kinds."""
DECAY = 0.01
"""Of weights (AdamW)."""
SCALE = 16.0
"""What vectors of length 1 are multiplied by before they are mapped."""
SMOOTHED, LEFT_OUT, UNKNOWN = 0.05, 0.3, 0.1
"""Label smoothing; share of dimensions left out, and of words that are not seen, at each step."""
UNKNOWN_WORD = 100  # [UNK] of the vocabulary
LONGEST = 96  # tokens


async def gather(folder: Path, golden: Path) -> int:
    """Writes `texts.npz`: of each text its tokens as it is understood in English, vector of `bot.universal`, kind and weight."""
    from bot.bootstrap import open_advisor
    from bot.messages import KINDS
    from bot.settings import read_settings
    from ingest.chunk import CHUNKER

    advisor = await open_advisor(read_settings(), chunker=CHUNKER)
    found = await advisor.labelled(golden)
    ids = [row[:LONGEST] for row in advisor.embedder.tokens(found.understood)]  # type: ignore[attr-defined]
    kinds, weights = [KINDS.index(kind) for _, kind, _ in found.said], [weight for *_, weight in found.said]
    lengths = [len(row) for row in ids]
    np.savez(folder / "texts.npz", lengths=lengths, ids=np.concatenate(ids), spoken=found.spoken, kinds=kinds, weights=weights)
    await advisor.close()
    return len(ids)


def train(
    folder: Path, model: Path, encoder: Path, tuned: Path, *, layers: int = LAYERS, epochs: float = EPOCHS, rate: float = RATE
) -> None:
    """Begins with `tuned.npz` in `folder`, where an earlier round left at least as many layers, else with the embedder's own."""
    import torch
    from torch import nn
    from torch.nn import functional as F

    from bot.messages import KINDS
    from bot.query_encoder import padded

    torch.manual_seed(0)
    with np.load(folder / "texts.npz") as held:
        ids = np.split(held["ids"], np.cumsum(held["lengths"])[:-1])
        spoken, kinds = torch.tensor(held["spoken"]), torch.tensor(held["kinds"])
        weights = torch.tensor(held["weights"], dtype=torch.float32)
    own, offset = teacher(model)
    net = student(own, range(layers))
    meaning, speech = nn.Linear(own[WORDS].shape[1], len(KINDS)), nn.Linear(spoken.shape[1], len(KINDS), bias=False)
    maps = nn.ModuleDict({"meaning": meaning, "spoken": speech})
    known: dict[str, Any] = {}
    if (kept := folder / "tuned.npz").is_file():
        with np.load(kept) as earlier:
            known = {name: torch.tensor(value) for name, value in earlier.items()}
    if f"layers.{layers - 1}.qkv" in known:
        net.load_state_dict({name: known[name] for name in net.state_dict()})
        if f"layers.{layers}.qkv" not in known:  # what fewer layers give wants a new map
            maps.load_state_dict({name: known[f"map.{name}"] for name in maps.state_dict()})

    def loss(batch: list[int]) -> Any:
        tokens, mask = map(torch.tensor, padded([ids[i] for i in batch]))
        hidden = (torch.rand(tokens.shape) < UNKNOWN) & mask.bool()
        hidden[:, 0] = False
        tokens[hidden] = UNKNOWN_WORD
        meant, said = (F.dropout(SCALE * each, LEFT_OUT) for each in (net(tokens, mask.bool()), spoken[batch]))
        lost = F.cross_entropy(maps["meaning"](meant) + maps["spoken"](said), kinds[batch], reduction="none", label_smoothing=SMOOTHED)
        return (lost * weights[batch]).mean()

    some = batches([len(row) for row in ids], np.random.default_rng(0), BATCH)
    learn({net: rate, maps: MAP_RATE}, loss, some, round(epochs * len(ids) / BATCH), decay=DECAY)
    state = {name: value.detach().numpy() for name, value in net.state_dict().items()}
    mapped: dict[str, Any] = {name: value.detach().numpy() for name, value in maps.state_dict().items()}
    np.savez(kept, **state, **{f"map.{name}": value for name, value in mapped.items()})
    encoder.write_bytes(written(state, own[WORDS], offset))
    parts = {"bias": mapped["meaning.bias"], "meaning": SCALE * mapped["meaning.weight"], "spoken": SCALE * mapped["spoken.weight"]}
    np.savez_compressed(tuned, **{name: value.astype(np.float16) for name, value in parts.items()})


def main() -> None:
    from bot.kinds import TUNED
    from bot.query_encoder import KINDS

    parser = arguments(__doc__, EPOCHS, RATE)
    parser.add_argument("--layers", type=int, default=LAYERS)
    parser.add_argument("--encoder", type=Path, default=KINDS)
    parser.add_argument("--tuned", type=Path, default=TUNED)
    run(
        parser, gather,
        lambda given, model: train(
            given.folder, model, given.encoder, given.tuned, layers=given.layers, epochs=given.epochs, rate=given.rate
        ),
    )  # fmt: skip


if __name__ == "__main__":
    main()
