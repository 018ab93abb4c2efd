"""Text -> vectors. Two real runtimes: ONNX (default) and sentence-transformers (extra); `as_langchain` gives either to LangChain's parts.

Vectors are float32, L2-normalised, so that a dot product is the cosine.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from bot.errors import SettingsError
from bot.query_encoder import KINDS, LONGEST, QueryEncoder, padded
from bot.weights import KNOWN, Progress, locate

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings

MAX_TOKENS = 512
DISTILLED = "gte-small"
"""The embedder that `bot.query_encoder` was made for."""


class Embedder(Protocol):
    fingerprint: str  # names the weights; stored with the vectors
    dimensions: int
    max_tokens: int
    embed_short: Callable[[Sequence[str]], np.ndarray] | None
    """Nearly the vectors of `embed`, for questions, in a fraction of the time; None where there is no such way."""
    embed_kinds: Callable[[Sequence[str]], np.ndarray] | None
    """Vectors that tell what kind of message a text is (`bot.kinds`); None where no encoder was trained for it."""

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """(n, dimensions) float32, rows of length 1."""
        ...

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens each text costs, the model's own special tokens included."""
        ...


class OnnxEmbedder:
    """A BERT-like model on onnxruntime: mean pooling over the attention mask, then L2 (as gte-small and all-MiniLM were trained)."""

    batch_tokens = 512  # tokens (padding included) given to the model at once; more do not fit its cache: 4096 take twice as long
    batch_waste = 32  # tokens of padding in a batch; computing them costs about as much as starting another batch

    def __init__(self, folder: Path, fingerprint: str, threads: int = 0, *, distilled: bool = False) -> None:
        """
        Args:
            distilled: a query encoder was made for these weights.
        """
        from tokenizers import Tokenizer

        self.fingerprint = fingerprint
        self.max_tokens = MAX_TOKENS
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._tokens = folder / "tokenizer.json"
        self._model, self._threads = folder / "onnx" / "model.onnx", threads or (os.cpu_count() or 1)
        self._layers: Any = None
        self._reading = threading.Lock()
        self.embed_short = partial(self._embed_short, QueryEncoder(self._model)) if distilled else None
        self.embed_kinds = self._embed_kinds if distilled and KINDS.is_file() else None

    def read(self) -> Any:
        """The session of all layers, read once: half a second, which a search that goes the short way need not wait for."""
        import onnxruntime

        with self._reading:
            if self._layers is None:
                options = onnxruntime.SessionOptions()
                options.intra_op_num_threads = self._threads
                options.inter_op_num_threads = 1
                options.log_severity_level = 3
                # Threads that spin while they wait take the processor from everything else: three times slower when the machine is busy.
                options.add_session_config_entry("session.intra_op.allow_spinning", "0")
                self._layers = onnxruntime.InferenceSession(str(self._model), options, providers=["CPUExecutionProvider"])
            return self._layers

    @property
    def dimensions(self) -> int:
        return int(self.read().get_outputs()[0].shape[-1])

    @cached_property
    def _counter(self) -> Any:
        from tokenizers import Tokenizer

        counter = Tokenizer.from_file(str(self._tokens))
        counter.no_padding()
        counter.no_truncation()
        return counter

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        result = np.empty((len(texts), self.dimensions), np.float32)
        ids = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        for batch in _batches([len(row) for row in ids], self.batch_tokens, self.batch_waste):
            result[batch] = self._run([ids[i] for i in batch])
        return result

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """Of each text, as the model is given them."""
        return [self._tokenizer.encode(text).ids for text in texts]  # for a few short texts threads would cost more

    def _embed_short(self, queries: QueryEncoder, texts: Sequence[str]) -> np.ndarray:
        ids = self.tokens(texts)
        result = np.empty((len(ids), queries.dimensions), np.float32)
        short, long = ([i for i, row in enumerate(ids) if (len(row) > LONGEST) == so] for so in (False, True))
        for numbers, run in ((short, queries.embed), (long, self._run)):
            for batch in _batches([len(ids[i]) for i in numbers], self.batch_tokens, self.batch_waste):
                some = [numbers[i] for i in batch]
                result[some] = run([ids[i] for i in some])
        return result

    @cached_property
    def _kind_encoder(self) -> QueryEncoder:
        return QueryEncoder(self._model, KINDS)  # a tenth of a second, which a start need not wait for

    def _embed_kinds(self, texts: Sequence[str]) -> np.ndarray:
        ids = [row[:LONGEST] for row in self.tokens(texts)]  # what somebody wants is said by then
        result = np.empty((len(ids), self._kind_encoder.dimensions), np.float32)
        for batch in _batches([len(row) for row in ids], self.batch_tokens, self.batch_waste):
            result[batch] = self._kind_encoder.embed([ids[i] for i in batch])
        return result

    def _run(self, ids: list[list[int]]) -> np.ndarray:
        tokens, mask = padded(ids)
        hidden = self.read().run(None, {"input_ids": tokens, "attention_mask": mask, "token_type_ids": np.zeros_like(tokens)})[0]
        weights = mask[:, :, None].astype(np.float32)
        vectors = (hidden * weights).sum(1) / weights.sum(1)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(encoding.ids) for encoding in self._counter.encode_batch(list(texts))]


def _batches(lengths: Sequence[int], most: int, waste: int) -> list[list[int]]:
    """Places of texts of about one length together: at most `most` tokens, of which at most `waste` are padding."""
    batches: list[list[int]] = []
    tokens = 0
    for i in sorted(range(len(lengths)), key=lengths.__getitem__):
        padded = lengths[i] * (len(batches[-1]) + 1) if batches else 0
        if not batches or padded > most or padded - tokens - lengths[i] > waste:
            batches.append([])
            tokens = 0
        batches[-1].append(i)
        tokens += lengths[i]
    return batches


class SentenceTransformersEmbedder:
    """Any sentence-transformers model, by name or folder; runs on the GPU where there is one."""

    embed_short = embed_kinds = None

    def __init__(self, name: str, *, offline: bool = False) -> None:
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError:
            raise SettingsError(
                f"The embedder sentence-transformers:{name} needs the extra: pip install 'img-advisor[sentence-transformers]'."
            ) from None
        try:
            self._model: Any = SentenceTransformer(name, local_files_only=offline)
        except (OSError, ValueError) as error:
            raise SettingsError(f"The embedder model '{name}' cannot be loaded ({str(error).splitlines()[0][:160]}).") from None
        self.fingerprint = f"sentence-transformers:{Path(name).name}@{_weights_hash(self._model)}"
        self.dimensions = int(self._model.get_sentence_embedding_dimension() or 0)
        self.max_tokens = int(self._model.max_seq_length or MAX_TOKENS)

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        vectors = self._model.encode(list(texts), normalize_embeddings=True, convert_to_numpy=True, show_progress_bar=False, batch_size=32)
        return np.asarray(vectors, np.float32).reshape(len(texts), self.dimensions)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(ids) for ids in self._model.tokenizer(list(texts), truncation=False)["input_ids"]]


def _weights_hash(model: Any) -> str:
    """A few parameters' bytes name the weights well enough to notice another model under the same name."""
    import hashlib

    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items())[:8]:
        digest.update(name.encode() + tensor.flatten()[:64].float().cpu().numpy().tobytes())
    return digest.hexdigest()[:12]


def open_embedder(name: str, folder: Path, *, threads: int = 0, offline: bool = False, progress: Progress | None = None) -> Any:
    """The embedder a setting names.

    Raises:
        SettingsError: unknown name. WeightsError: its files cannot be had.
    """
    if name in KNOWN:
        files = locate(KNOWN[name], folder, offline=offline, progress=progress)
        return OnnxEmbedder(files, KNOWN[name].fingerprint, threads, distilled=name == DISTILLED)
    kind, _, model = name.partition(":")
    if kind == "sentence-transformers" and model:
        return SentenceTransformersEmbedder(model, offline=offline)
    raise SettingsError(f"Unknown embedder '{name}'. Use {', '.join(KNOWN)}, or sentence-transformers:NAME_OR_FOLDER.")


def as_langchain(embedder: Embedder) -> Embeddings:
    """For parts of LangChain's ecosystem. Imported here, since answering needs none of them and a start would wait for it."""
    from langchain_core.embeddings import Embeddings

    class Embedding(Embeddings):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return embedder.embed(texts).tolist()

        def embed_query(self, text: str) -> list[float]:
            return embedder.embed([text])[0].tolist()

    return Embedding()
