"""Makes the weights of `bot.query_encoder`: `make distil`, an hour on two cores.

Two steps, since the trainer's libraries (torch, onnx) are none of the server's: `texts` gathers what is learnt from, with the embedder's
own vectors; `train` learns, in the environment of sentence-transformers; both leave their results in a folder.

The student begins as layers of the teacher. It learns two things at once: to have the teacher's vectors, and to give the teacher's cosines
with what lies near a text and with anything else in the index, in standard deviations of unrelated texts (`bot.retrieve.SCALES`).

The weights that come along learnt in three rounds: eight epochs of whole texts, three of these with hurried and cut ones (`--epochs 3
--rate 3e-4`; a round goes on from `student.npz`, which the one before leaves), both with a third layer between the two; and six without
it (`--rate 6e-4`), after which nothing was lost.
"""

from __future__ import annotations

import argparse
import asyncio
import random
from collections.abc import Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

LAYERS = (0, 11)
EPOCHS, BATCH, RATE = 8, 48, 5e-4
NEAR = 40
"""Nearest entries of the index, of which a few are asked at every step."""
LONGEST_TEXT = 260  # characters
HURRIED, SLIPS, CUT = 0.4, 0.25, 0.6
"""Share of the texts that are learnt in a hurried spelling, too, of their words with a slip, and of the texts of which a part is learnt."""
WORDS = "embeddings.word_embeddings.weight"
HEADS = 12
"""Of attention, in each layer."""


async def gather(folder: Path, golden: Path) -> int:
    """Writes `texts.npz`: the tokens of each text, the teacher's vectors of texts, and all vectors of the index."""
    from bot.bootstrap import open_advisor
    from bot.messages import read_messages
    from bot.settings import read_settings
    from bot.words import read_words
    from ingest.chunk import CHUNKER

    settings = read_settings()
    advisor, words = await open_advisor(settings, chunker=CHUNKER), read_words(settings.knowledge)
    index = await advisor.index()
    terms, languages = words.terms, words.languages
    texts: set[str] = set()
    for chunk in index.chunks:
        for question in chunk.questions:
            texts |= {question, terms.expanded(question)}
        texts |= {span.said for span in chunk.spans if len(span.said) < LONGEST_TEXT}
        texts.add(" ".join(chunk.heading))
    for message in read_messages(golden / "scope"):
        if not message.held_out and len(read := languages.english(message.says)) < LONGEST_TEXT:
            texts.add(terms.expanded(read))
    rng = random.Random(1)
    whole = sorted(texts)
    texts |= {hurried(text, rng) for text in whole if len(text) < LONGEST_TEXT // 2 and rng.random() < HURRIED}
    texts |= {cut(text, rng) for text in whole if rng.random() < CUT}
    listed = sorted(text for text in texts if text.strip())
    rng.shuffle(listed)
    ids = advisor.embedder.tokens(listed)  # type: ignore[attr-defined]
    vectors = np.concatenate([await advisor.embedded(listed[at : at + 500]) for at in range(0, len(listed), 500)])
    lengths = np.array([len(row) for row in ids])
    np.savez(folder / "texts.npz", lengths=lengths, ids=np.concatenate(ids), vectors=vectors, index=index.vectors)
    await advisor.close()
    return len(listed)


def hurried(text: str, rng: random.Random) -> str:
    """`text` as people type it on a phone: a letter left out, doubled or exchanged in some words, small letters, no mark at its end."""
    words = text.lower().rstrip("?.! ").split()
    for i, word in enumerate(words):
        if len(word) > 3 and word.isalpha() and rng.random() < SLIPS:
            at = rng.randrange(1, len(word) - 1)
            a, b, rest = word[:at], word[at], word[at + 1 :]
            words[i] = rng.choice((a + rest, a + b + b + rest, a + rest[0] + b + rest[1:]))
    return " ".join(words)


def cut(text: str, rng: random.Random) -> str:
    """Some words of `text`, as people type a search: a few in a row, or most of them."""
    words = text.split()
    if len(words) < 4:
        return text
    if rng.random() < 0.5:
        begin = rng.randrange(len(words) - 2)
        return " ".join(words[begin : begin + rng.randint(2, 9)])
    return " ".join(word for word in words if rng.random() < 0.7)


def teacher(path: Path) -> tuple[dict[str, np.ndarray], int]:
    """The weights of an ONNX file of a BERT-like model, by name, and where in the file the vectors of words begin."""
    import onnx

    model = onnx.load(str(path))
    stored = {each.name: onnx.numpy_helper.to_array(each) for each in model.graph.initializer}
    found = dict(stored)
    for node in model.graph.node:
        if node.op_type == "MatMul" and (of_node := [name for name in node.input if name in stored]):
            found[node.name.strip("/")] = stored[of_node[0]]
    return found, path.read_bytes().find(found[WORDS].tobytes())


def student(weights: dict[str, np.ndarray], layers: Sequence[int]) -> Any:
    """A torch module: some layers of the teacher, and one map of the mean of its tokens."""
    import torch
    from torch import nn
    from torch.nn import functional as F

    def own(*names: str) -> nn.Parameter:
        return nn.Parameter(torch.tensor(np.concatenate([weights[name] for name in names], axis=-1)))

    width, heads, eps = weights[WORDS].shape[1], HEADS, 1e-12

    class Layer(nn.Module):
        def __init__(self, i: int) -> None:
            super().__init__()
            of = f"encoder/layer.{i}/"
            bias = f"encoder.layer.{i}."
            self.qkv = own(*(f"{of}attention/self/{name}/MatMul" for name in ("query", "key", "value")))
            self.qkv_bias = own(*(f"{bias}attention.self.{name}.bias" for name in ("query", "key", "value")))
            self.joined, self.joined_bias = own(f"{of}attention/output/dense/MatMul"), own(f"{bias}attention.output.dense.bias")
            self.gain, self.shift = (own(f"{bias}attention.output.LayerNorm.{name}") for name in ("weight", "bias"))
            self.wide, self.wide_bias = own(f"{of}intermediate/dense/MatMul"), own(f"{bias}intermediate.dense.bias")
            self.back, self.back_bias = own(f"{of}output/dense/MatMul"), own(f"{bias}output.dense.bias")
            self.last_gain, self.last_shift = (own(f"{bias}output.LayerNorm.{name}") for name in ("weight", "bias"))

        def forward(self, x: Any, mask: Any) -> Any:
            texts, tokens, _ = x.shape
            q, k, v = (x @ self.qkv + self.qkv_bias).view(texts, tokens, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
            seen = F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None, :]).transpose(1, 2).reshape(x.shape)
            x = F.layer_norm(x + seen @ self.joined + self.joined_bias, (width,), self.gain, self.shift, eps)
            wide = F.gelu(x @ self.wide + self.wide_bias)
            return F.layer_norm(x + wide @ self.back + self.back_bias, (width,), self.last_gain, self.last_shift, eps)

    class Student(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("words", torch.tensor(weights[WORDS]), persistent=False)
            self.positions = own("embeddings.position_embeddings.weight")
            self.kind = nn.Parameter(torch.tensor(weights["embeddings.token_type_embeddings.weight"][0]))
            self.gain, self.shift = (own(f"embeddings.LayerNorm.{name}") for name in ("weight", "bias"))
            self.layers = nn.ModuleList(Layer(i) for i in layers)
            self.out, self.out_bias = nn.Parameter(torch.eye(width)), nn.Parameter(torch.zeros(width))

        def forward(self, ids: Any, mask: Any) -> Any:
            x = F.layer_norm(self.words[ids] + self.positions[: ids.shape[1]] + self.kind, (width,), self.gain, self.shift, eps)
            for layer in self.layers:
                x = layer(x, mask)
            shares = mask[..., None].float()
            return F.normalize((x * shares).sum(1) / shares.sum(1) @ self.out + self.out_bias, dim=-1)

    return Student()


def train(folder: Path, model: Path, out: Path, epochs: float = EPOCHS, rate: float = RATE) -> None:
    """Begins with `student.npz` in `folder`, where an earlier round left it, else with the teacher's own layers."""
    import torch

    from bot.query_encoder import padded
    from bot.retrieve import SCALES

    torch.manual_seed(0)
    with np.load(folder / "texts.npz") as held:
        ends = np.cumsum(held["lengths"])
        ids = np.split(held["ids"], ends[:-1])
        vectors, index = torch.tensor(held["vectors"]), torch.tensor(held["index"])
    weights, offset = teacher(model)
    net = student(weights, LAYERS)
    if (kept := folder / "student.npz").is_file():
        with np.load(kept) as earlier:
            net.load_state_dict({name: torch.tensor(value) for name, value in earlier.items()})
    near = torch.cat([(vectors[at : at + 500] @ index.T).topk(NEAR, 1).indices for at in range(0, len(vectors), 500)])
    deviation = SCALES["gte-small"].deviation

    def loss(batch: list[int]) -> Any:
        some = [near[i][torch.randint(0, NEAR, (8,))] for i in batch]
        asked = index[torch.unique(torch.cat([*some, torch.randint(0, len(index), (256,))]))]
        tokens, mask = map(torch.tensor, padded([ids[i] for i in batch]))
        error = net(tokens, mask.bool()) - vectors[batch]
        return ((error @ asked.T / deviation) ** 2).mean() + 4 * (error**2).sum(1).mean()

    learn({net: rate}, loss, batches([len(row) for row in ids], np.random.default_rng(0), BATCH), round(epochs * len(ids) / BATCH))
    state = {name: value.numpy() for name, value in net.state_dict().items()}
    np.savez(kept, **state)
    out.write_bytes(written(state, weights[WORDS], offset))


def learn(rates: dict[Any, float], loss: Callable[[list[int]], Any], some: Iterator[list[int]], steps: int, decay: float = 0.0) -> None:
    """Trains torch modules, each at its own rate, for some steps: AdamW, a rate that rises and falls once (Smith & Topin 2018,
    "Super-convergence"), gradients of at most length 1."""
    import torch
    from rich.progress import Progress

    groups: list[dict[str, Any]] = [{"params": list(module.parameters()), "lr": rate} for module, rate in rates.items()]
    optimizer = torch.optim.AdamW(groups, weight_decay=decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, list(rates.values()), total_steps=steps + 1, pct_start=0.1)
    with Progress() as progress:
        task = progress.add_task("Training", total=steps)
        for _ in range(steps):
            lost = loss(next(some))
            optimizer.zero_grad()
            lost.backward()
            torch.nn.utils.clip_grad_norm_([each for group in groups for each in group["params"]], 1.0)
            optimizer.step()
            schedule.step()
            progress.update(task, advance=1, description=f"Training (loss {lost.item():.3f})")


def batches(lengths: Sequence[int], rng: np.random.Generator, size: int) -> Iterator[list[int]]:
    """Texts of about one length together, in random order, without end."""
    while True:
        order = rng.permutation(len(lengths))
        for at in range(0, len(order), size * 40):
            some = sorted(order[at : at + size * 40].tolist(), key=lambda i: lengths[i])
            parts = [some[i : i + size] for i in range(0, len(some), size)]
            yield from (parts[i] for i in rng.permutation(len(parts)))


def written(state: dict[str, np.ndarray], words: np.ndarray, offset: int) -> bytes:
    """An ONNX model: (words: texts x tokens x dimensions, mask: texts x tokens) -> vectors of length 1.

    Maps are in whole numbers: weights of seven bits with one scale for each column, since eight may overflow in processors without VNNI;
    what is mapped is rounded to eight bits with one scale for each token, so that a text has one vector whatever it is embedded with. The
    vectors of words are not in it; what it says of itself tells where in the teacher's file they are (`bot.query_encoder`).
    """
    from onnx import TensorProto, helper, numpy_helper

    from bot.query_encoder import LONGEST

    width, heads = words.shape[1], HEADS
    nodes: list[Any] = []
    constants: dict[str, Any] = {}

    def constant(name: str, value: Any) -> str:
        constants.setdefault(name, numpy_helper.from_array(np.array(value), name))
        return name

    def node(kind: str, inputs: Sequence[str], name: str, **how: Any) -> str:
        nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **how))
        return name

    def shaped(x: str, name: str, *sizes: int) -> str:
        """A size of 0 keeps the one at its place; -1 is what is left."""
        return node("Reshape", [x, constant("shape" + "x".join(map(str, sizes)), np.array(sizes, np.int64))], name)

    def mapped(x: str, name: str, by: np.ndarray, bias: np.ndarray) -> str:
        """`x` (rows x width) in steps of 1/127 of the largest value in its row, columns of `by` in steps of 1/63 of theirs."""
        largest = node("ReduceMax", [node("Abs", [x], f"{name}.size"), one], f"{name}.largest", keepdims=1)
        largest = node("Max", [largest, constant("least", np.float32(1e-12))], f"{name}.range")
        step = node("Mul", [largest, constant("step", np.float32(1 / 127))], f"{name}.step")
        of_rows = node("Reshape", [step, constant("flat", np.array([-1], np.int64))], f"{name}.of_rows")
        middles = node("ConstantOfShape", [node("Shape", [of_rows], f"{name}.count")], f"{name}.middles", value=middle)
        whole = node("QuantizeLinear", [x, of_rows, middles], f"{name}.bytes", axis=0)  # four steps in one
        steps = np.maximum(np.abs(by).max(0), 1e-12) / 63
        weights = constant(f"{name}.by", np.rint(by / steps).astype(np.int8))
        product = node("MatMulInteger", [whole, weights, constant("zero", np.uint8(128))], f"{name}.whole")
        product = node("Mul", [node("Cast", [product], f"{name}.float", to=TensorProto.FLOAT), step], f"{name}.rows")
        product = node("Mul", [product, constant(f"{name}.scale", steps.astype(np.float32))], f"{name}.product")
        return node("Add", [product, constant(f"{name}.bias", bias.astype(np.float32))], name)

    def normed(x: str, name: str, gain: np.ndarray, shift: np.ndarray) -> str:
        sides = [constant(f"{name}.gain", gain), constant(f"{name}.shift", shift)]
        return node("LayerNormalization", [x, *sides], name, axis=-1, epsilon=1e-12)

    middle = helper.make_tensor("middle", TensorProto.UINT8, [1], [128])
    zero, one, two = (constant(f"at{i}", np.array([i], np.int64)) for i in range(3))
    shape = node("Shape", ["mask"], "shape")
    texts, long = (node("Slice", [shape, begin, end], name) for name, begin, end in (("texts", zero, one), ("tokens", one, two)))
    placed = constant("positions", (state["positions"] + state["kind"])[:LONGEST])
    x = node("Add", ["words", node("Slice", [placed, zero, long, zero], "placed")], "start")
    x = normed(shaped(x, "start.rows", -1, width), "x", state["gain"], state["shift"])
    shares = node("Cast", ["mask"], "shares", to=TensorProto.FLOAT)
    away = node("Mul", [node("Sub", [constant("all", np.float32(1)), shares], "hidden"), constant("never", np.float32(-1e9))], "away")
    away = node("Unsqueeze", [away, constant("axes", np.array([1, 2], np.int64))], "mask.away")
    parts_shape = node("Concat", [texts, long, constant("parts", np.array([3, heads, width // heads], np.int64))], "parts.shape", axis=0)
    places = [constant(f"place{i}", np.array(i, np.int64)) for i in range(3)]
    for i in range(sum(name.endswith(".qkv") for name in state)):
        own = {name.removeprefix(f"layers.{i}."): value for name, value in state.items() if name.startswith(f"layers.{i}.")}
        by, bias = own["qkv"].copy(), own["qkv_bias"].copy()
        by[:, :width] /= (width // heads) ** 0.5
        bias[:width] /= (width // heads) ** 0.5
        parts = node("Reshape", [mapped(x, f"{i}.qkv", by, bias), parts_shape], f"{i}.parts")
        q, k, v = (
            node("Transpose", [node("Gather", [parts, places[j]], f"{i}.{name}.part", axis=2)], f"{i}.{name}", perm=order)
            for j, (name, order) in enumerate((("q", (0, 2, 1, 3)), ("k", (0, 2, 3, 1)), ("v", (0, 2, 1, 3))))
        )
        scores = node("Softmax", [node("Add", [node("MatMul", [q, k], f"{i}.cosines"), away], f"{i}.scores")], f"{i}.looks", axis=-1)
        seen = node("Transpose", [node("MatMul", [scores, v], f"{i}.sums")], f"{i}.seen", perm=(0, 2, 1, 3))
        seen = mapped(shaped(seen, f"{i}.seen.rows", -1, width), f"{i}.joined", own["joined"], own["joined_bias"])
        x = normed(node("Add", [x, seen], f"{i}.both"), f"{i}.x", own["gain"], own["shift"])
        wide = node("Gelu", [mapped(x, f"{i}.wide", own["wide"], own["wide_bias"])], f"{i}.bent")
        x = node("Add", [x, mapped(wide, f"{i}.back", own["back"], own["back_bias"])], f"{i}.sum")
        x = normed(x, f"{i}.out", own["last_gain"], own["last_shift"])
    full = node("Concat", [texts, long, constant("width", np.array([width], np.int64))], "full", axis=0)
    shown = node("Mul", [node("Reshape", [x, full], "out"), node("Unsqueeze", [shares, two], "shares.wide")], "shown")
    summed = node("ReduceSum", [shown, one], "summed", keepdims=0)
    mean = node("Div", [summed, node("ReduceSum", [shares, one], "count", keepdims=1)], "mean")
    end = node("MatMul", [mean, constant("end.by", state["out"])], "end.product")
    end = node("Add", [end, constant("end.bias", state["out_bias"])], "end")
    node("Div", [end, node("ReduceL2", [end, one], "length", keepdims=1)], "vector")
    inputs = [
        helper.make_tensor_value_info("words", TensorProto.FLOAT, ["texts", "tokens", width]),
        helper.make_tensor_value_info("mask", TensorProto.INT64, ["texts", "tokens"]),
    ]
    output = helper.make_tensor_value_info("vector", TensorProto.FLOAT, ["texts", width])
    graph = helper.make_graph(nodes, "query_encoder", inputs, [output], list(constants.values()))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    sample = np.ascontiguousarray(words[:: len(words) // 8, 0][:8])
    about = {"words": len(words), "dimensions": width, "offset": offset, "sample": sample.tobytes().hex()}
    helper.set_model_props(model, {name: str(value) for name, value in about.items()})
    return bytes(model.SerializeToString())


def restored(path: Path) -> dict[str, np.ndarray]:
    """What `written` was given, as near as whole numbers hold it: the state of a student whose vector of the kind of text is zero, being
    part of its positions."""
    import onnx

    held = {each.name: onnx.numpy_helper.to_array(each) for each in onnx.load(str(path)).graph.initializer}
    state = {
        "positions": held["positions"], "kind": np.zeros_like(held["positions"][0]), "gain": held["x.gain"], "shift": held["x.shift"],
        "out": held["end.by"], "out_bias": held["end.bias"],
    }  # fmt: skip
    width = len(state["kind"])
    for i in range(sum(name.endswith(".qkv.by") for name in held)):
        own = {"gain": held[f"{i}.x.gain"], "shift": held[f"{i}.x.shift"]}
        own |= {"last_gain": held[f"{i}.out.gain"], "last_shift": held[f"{i}.out.shift"]}
        for name in ("qkv", "joined", "wide", "back"):
            own[name] = held[f"{i}.{name}.by"].astype(np.float32) * held[f"{i}.{name}.scale"]
            own[f"{name}_bias"] = held[f"{i}.{name}.bias"].copy()
        for name in ("qkv", "qkv_bias"):
            own[name][..., :width] *= (width // HEADS) ** 0.5
        state |= {f"layers.{i}.{name}": value for name, value in own.items()}
    return state


def main() -> None:
    from bot.query_encoder import FILE

    parser = arguments(__doc__, EPOCHS, RATE)
    parser.add_argument("--out", type=Path, default=FILE)
    run(parser, gather, lambda given, model: train(given.folder, model, given.out, given.epochs, given.rate))


def arguments(about: str | None, epochs: float | None, rate: float | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=("texts", "train"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--golden", type=Path, default=Path("tests/golden"))
    parser.add_argument("--epochs", type=float, default=epochs)
    parser.add_argument("--rate", type=float, default=rate, help="of learning; a second round wants a smaller one")
    return parser


def run(
    parser: argparse.ArgumentParser,
    gather: Callable[[Path, Path], Coroutine[Any, Any, int]],
    train: Callable[[argparse.Namespace, Path], None],
) -> None:
    """The step that is asked for: `gather` is given the folder and the golden questions, `train` what was given and the teacher's file."""
    from bot.settings import read_settings

    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    if given.step == "texts":
        print(f"{asyncio.run(gather(given.folder, given.golden))} texts")
    else:
        train(given, read_settings().weights_folder / "gte-small" / "onnx" / "model.onnx")


if __name__ == "__main__":
    main()
