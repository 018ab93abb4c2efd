"""Makes the weights of the two encoders that tell kinds of messages apart (`bot.kinds`): `make tune`, an hour and a half on two cores.

Two steps, since the trainer's library (torch) is none of the server's: `texts` gathers what `make fit` learns from, too; `train` trains
layers on, in the environment of sentence-transformers. `make tune` trains the embedder's twice: all twelve layers, then the first eight of
these, with a new map from their vectors to kinds. The upper layers of a model that is trained on bring least (Sajjad et al. 2023, "On the
effect of dropping layers of pre-trained transformer models"), and a message waits for each of them. `train --universal` trains those of
`bot.universal`.

Messages that are held out are not learnt from. The weights that come along learnt in rounds, while messages were added. The last round was
`--mean --epochs 0.8 --rate 8e-5` of the embedder's layers, and `--mean --epochs 1.5 --rate 1.5e-4` of those of `bot.universal`.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from bot.universal import BRANCHES, WIDTH, looked_up, mapped, unpacked
from ingest.distil import WORDS, arguments, batches, learn, restored, run, student, teacher, written

LAYERS, EPOCHS, BATCH = 8, 2.0, 32
RATE, MAP_RATE = 1.3e-4, 2e-3
"""Of learning: of the layers, and of the map from vectors to kinds."""
UNIVERSAL_EPOCHS, UNIVERSAL_RATE = 4.0, 3e-4
DECAY = 0.01
"""Of weights (AdamW)."""
SCALE = 16.0
"""What vectors of length 1 are multiplied by before they are mapped."""
SMOOTHED, LEFT_OUT, UNKNOWN = 0.05, 0.3, 0.1
"""Label smoothing; share of dimensions left out, and of words that are not seen, at each step."""
UNKNOWN_WORD = 100  # [UNK] of the vocabulary
LONGEST = 96  # tokens


async def gather(folder: Path, golden: Path) -> int:
    """Writes `texts.npz`: of each text its tokens as it is understood in English and its pieces as it is written, both encoders' vectors of
    these, its kind and weight."""
    from bot.bootstrap import open_advisor
    from bot.messages import KINDS
    from bot.settings import read_settings
    from bot.universal import UniversalEncoder
    from ingest.chunk import CHUNKER

    settings = read_settings()
    advisor = await open_advisor(settings, chunker=CHUNKER)
    found = await advisor.labelled(golden)
    ids = [row[:LONGEST] for row in advisor.embedder.tokens(found.understood)]  # type: ignore[attr-defined]
    kinds, weights = [KINDS.index(kind) for _, kind, _ in found.said], [weight for *_, weight in found.said]
    pieces = UniversalEncoder(settings.weights_folder).pieces([text for text, _, _ in found.said])
    np.savez(
        folder / "texts.npz", lengths=list(map(len, ids)), ids=np.concatenate(ids), piece_lengths=list(map(len, pieces)),
        pieces=np.concatenate(pieces), meaning=found.vectors, spoken=found.spoken, kinds=kinds, weights=weights,
    )  # fmt: skip
    await advisor.close()
    return len(ids)


class Texts:
    """What `gather` wrote."""

    def __init__(self, folder: Path) -> None:
        import torch

        with np.load(folder / "texts.npz") as held:
            self.ids = np.split(held["ids"], np.cumsum(held["lengths"])[:-1])
            self.pieces = np.split(held["pieces"], np.cumsum(held["piece_lengths"])[:-1])
            self.meaning, self.spoken, self.kinds = (torch.tensor(held[name]) for name in ("meaning", "spoken", "kinds"))
            self.weights = torch.tensor(held["weights"], dtype=torch.float32)

    def maps(self) -> Any:
        """From the vectors of what is understood, and of what is written, to kinds."""
        from torch import nn

        from bot.messages import KINDS

        meaning, spoken = nn.Linear(self.meaning.shape[1], len(KINDS)), nn.Linear(self.spoken.shape[1], len(KINDS), bias=False)
        return nn.ModuleDict({"meaning": meaning, "spoken": spoken})

    def loss(self, maps: Any, meaning: Any, spoken: Any, batch: list[int]) -> Any:
        from torch.nn import functional as F

        meant, said = (F.dropout(SCALE * each, LEFT_OUT) for each in (meaning, spoken))
        told = maps["meaning"](meant) + maps["spoken"](said)
        lost = F.cross_entropy(told, self.kinds[batch], reduction="none", label_smoothing=SMOOTHED)
        return (lost * self.weights[batch]).mean()


def _state(module: Any) -> dict[str, Any]:
    return {name: value.detach().numpy() for name, value in module.state_dict().items()}


def _kept(path: Path, net: Any, maps: Any, *, mean: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """What was learnt, of both, kept for another round. `mean`: the mean of it and of what the round began with (Wortsman et al. 2022,
    "Model soups: averaging weights of multiple fine-tuned models"), where that has the same layers."""
    state = _state(net) | {f"map.{name}": value for name, value in _state(maps).items()}
    before = _known(path) if mean else {}
    if before.keys() == state.keys():
        state = {name: _middle(value, before[name].numpy()) for name, value in state.items()}
    np.savez(path, **state)
    return {name: value for name, value in state.items() if not name.startswith("map.")}, _of_maps(state)


def _middle(value: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Of positions that no text is as long as, fewer may have been written down."""
    result = value.copy()
    result[: len(before)] = (value[: len(before)] + before) / 2
    return result


def _known(path: Path) -> dict[str, Any]:
    import torch

    if not path.is_file():
        return {}
    with np.load(path) as earlier:
        return {name: torch.tensor(value) for name, value in earlier.items()}


def _of_maps(known: dict[str, Any]) -> dict[str, Any]:
    return {name.removeprefix("map."): value for name, value in known.items() if name.startswith("map.")}


def _said(maps: dict[str, Any]) -> dict[str, Any]:
    """As `bot.kinds` reads maps, in half precision."""
    parts = {"bias": maps["meaning.bias"], "meaning": SCALE * maps["meaning.weight"], "spoken": SCALE * maps["spoken.weight"]}
    return {name: value.astype(np.float16) for name, value in parts.items()}


def begin_again(folder: Path, encoder: Path, tuned: Path, heard: Path) -> None:
    """Writes into `folder` what an earlier round would have left there, from the weights that came of it; what is there stays."""

    def maps(path: Path) -> dict[str, np.ndarray]:
        with np.load(path) as held:
            bias, meaning, spoken = (held[name].astype(np.float32) for name in ("bias", "meaning", "spoken"))
        return {"map.meaning.bias": bias, "map.meaning.weight": meaning / SCALE, "map.spoken.weight": spoken / SCALE}

    if not (kept := folder / "tuned.npz").is_file():
        state: dict[str, Any] = restored(encoder) | maps(tuned)
        np.savez(kept, **state)
    if not (kept := folder / "universal.npz").is_file():
        with np.load(heard) as held:
            state = {name: held[name].astype(np.float32) for name in held.files if name not in ("bias", "meaning", "spoken")}
        np.savez(kept, **state | maps(heard))


def train(
    folder: Path, model: Path, encoder: Path, tuned: Path,
    *, layers: int = LAYERS, epochs: float = EPOCHS, rate: float = RATE, mean: bool = False,
) -> None:  # fmt: skip
    """Begins with `tuned.npz` in `folder`, where an earlier round left at least as many layers, else with the embedder's own."""
    import torch

    from bot.query_encoder import padded

    torch.manual_seed(0)
    texts = Texts(folder)
    own, offset = teacher(model)
    net, maps = student(own, range(layers)), texts.maps()
    known = _known(kept := folder / "tuned.npz")
    if f"layers.{layers - 1}.qkv" in known:
        for name, value in net.state_dict().items():
            value[: len(known[name])] = known[name]  # positions that no text is as long as are not written down
        if f"layers.{layers}.qkv" not in known:  # what fewer layers give wants a new map
            maps.load_state_dict(_of_maps(known))

    def loss(batch: list[int]) -> Any:
        tokens, mask = map(torch.tensor, padded([texts.ids[i] for i in batch]))
        hidden = (torch.rand(tokens.shape) < UNKNOWN) & mask.bool()
        hidden[:, 0] = False
        tokens[hidden] = UNKNOWN_WORD
        return texts.loss(maps, net(tokens, mask.bool()), texts.spoken[batch], batch)

    some = batches(list(map(len, texts.ids)), np.random.default_rng(0), BATCH)
    learn({net: rate, maps: MAP_RATE}, loss, some, round(epochs * len(texts.ids) / BATCH), decay=DECAY)
    state, mapped_by = _kept(kept, net, maps, mean=mean)
    encoder.write_bytes(written(state, own[WORDS], offset))
    np.savez_compressed(tuned, **_said(mapped_by))


def train_universal(
    folder: Path, weights: Path, out: Path, *, epochs: float = UNIVERSAL_EPOCHS, rate: float = UNIVERSAL_RATE, mean: bool = False
) -> None:
    """Begins with `universal.npz` in `folder`, where an earlier round left it, else with the layers as they are.

    Args:
        weights: where `bot.universal` keeps its own.
    """
    import torch

    from bot.query_encoder import padded

    torch.manual_seed(0)
    texts = Texts(folder)
    table, layers = mapped(weights)
    net, maps = universal(layers), texts.maps()
    if known := _known(kept := folder / "universal.npz"):
        net.load_state_dict({name: known[name] for name in net.state_dict()})
        maps.load_state_dict(_of_maps(known))

    def loss(batch: list[int]) -> Any:
        pieces, mask = padded([texts.pieces[i] for i in batch])
        seen = torch.tensor(mask, dtype=torch.float32)
        shown = seen * (torch.rand(seen.shape) >= UNKNOWN)
        return texts.loss(maps, texts.meaning[batch], net(torch.tensor(looked_up(pieces, table, layers)) * shown[..., None], seen), batch)

    some = batches(list(map(len, texts.pieces)), np.random.default_rng(0), BATCH)
    learn({net: rate, maps: MAP_RATE}, loss, some, round(epochs * len(texts.pieces) / BATCH), decay=DECAY)
    state, mapped_by = _kept(kept, net, maps, mean=mean)
    np.savez(out, **_said(mapped_by), **{name: value.astype(np.float16) for name, value in state.items()})


def universal(layers: dict[str, np.ndarray]) -> Any:
    """A torch module: (vectors of pieces: texts x pieces x dimensions, mask: texts x pieces) -> what `bot.universal` makes of them."""
    import torch
    from torch import nn
    from torch.nn import functional as F

    eps = float(layers["eps"])

    class Universal(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for name in layers.keys() - {"lo", "scale", "bits", "eps"}:
                self.register_parameter(name, nn.Parameter(torch.tensor(layers[name])))

        def forward(self, x: Any, mask: Any) -> Any:
            own = dict(self.named_parameters())
            here = mask[..., None]
            shared = x @ own["proj"] + own["proj_b"]
            shared = F.layer_norm(shared, shared.shape[-1:], own["ln_g_all"], own["ln_b_all"], eps) * here
            features = [x]
            for i, (size, before) in enumerate(BRANCHES):
                part = shared[..., i * WIDTH : (i + 1) * WIDTH]
                for layer in "12":
                    by = own[f"w{layer}_{size}"].view(size, WIDTH, -1).permute(2, 1, 0)
                    around = F.pad(part.transpose(1, 2), (before, size - 1 - before))
                    part = (part + F.relu(F.conv1d(around, by, own[f"b{layer}_{size}"]).transpose(1, 2))) * here
                features.append(part)
            joined = torch.cat(features, -1)
            joined = F.layer_norm(joined, joined.shape[-1:], own["ln_g"], own["ln_b"], eps) * here
            count = mask.sum(1, keepdim=True)
            x = (joined.sum(1) @ own["cnn_W"] + count * own["cnn_b"]) / count.sqrt()
            x = F.relu(x @ own["p1"] + F.relu(x @ own["d0"]) @ own["d1"])
            x = torch.tanh(x @ own["p3"] + F.relu(x @ own["d2"]) @ own["d3"])
            return F.normalize(x, dim=-1)

    return Universal()


def main() -> None:
    from bot.kinds import HEARD, TUNED
    from bot.query_encoder import KINDS
    from bot.settings import read_settings

    parser = arguments(__doc__, None, None)
    parser.add_argument("--universal", action="store_true", help="the layers of bot.universal, not the embedder's")
    parser.add_argument("--mean", action="store_true", help="of the weights a round began with and those it came to")
    parser.add_argument("--again", action="store_true", help="begin with the weights that come along, not with the encoders' own")
    parser.add_argument("--layers", type=int, default=LAYERS, help="of the embedder")
    parser.add_argument("--encoder", type=Path, default=KINDS)
    parser.add_argument("--tuned", type=Path, default=TUNED)
    parser.add_argument("--out", type=Path, default=HEARD, help="of the layers of bot.universal")

    def trained(given: argparse.Namespace, model: Path) -> None:
        how: dict[str, Any] = {name: value for name in ("epochs", "rate", "mean") if (value := getattr(given, name)) is not None}
        if given.again:
            begin_again(given.folder, KINDS, TUNED, HEARD)
        if given.universal:
            train_universal(given.folder, unpacked(read_settings().weights_folder), given.out, **how)
        else:
            train(given.folder, model, given.encoder, given.tuned, layers=given.layers, **how)

    run(parser, gather, trained)


if __name__ == "__main__":
    main()
