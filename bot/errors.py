"""The errors a caller may meet, in one tree.

AdvisorError                    anything this package raises on purpose
├── InputError                  what was handed in is wrong (question, file, argument)      exit 2, HTTP 422
│   ├── Unsupported             sentences of an advisor's reply that no guide bears out
│   ├── DocumentError           a file to ingest is wrong: says file, line and field
│   └── UnknownCollection       no such collection                                          HTTP 404
├── SettingsError               a setting is wrong or contradicts another                   exit 2
├── WeightsError                the embedder's files cannot be had or do not match their hash
├── IndexMissing                nothing is indexed yet: says what to run
├── IndexMismatch               the index was built by another embedder or chunker: says what to run
├── ShrinkRefused               a source lost over half of its chunks: asks before it wipes exit 1
├── NotFound                    no such conversation, answer or guide                       HTTP 404
├── Forbidden                   the token does not open this conversation                   HTTP 403
├── LoginRefused                wrong e-mail address or password, or too many tries: says how long to wait
├── Conflict                    somebody else was first                                     HTTP 409
└── ModelFailed                 the chat model gave nothing usable; the composer takes over

``str(error)`` is always one sentence for people: what was wrong, where, and what to do. It never holds a secret.
"""


class AdvisorError(Exception):
    """Base of every error raised on purpose; `type` is the stable last part of the problem document's type."""

    type = "error"


class InputError(AdvisorError):
    type = "invalid-input"


class DocumentError(InputError):
    """A document cannot be used. `file` is relative to the folder given; `line` is 1-based or None."""

    type = "invalid-document"

    def __init__(self, message: str, *, file: str, line: int | None = None, field: str | None = None) -> None:
        where = file + (f", line {line}" if line is not None else "") + (f", field '{field}'" if field else "")
        super().__init__(f"{where}: {message}")
        self.file, self.line, self.field, self.reason = file, line, field, message


class UnknownCollection(InputError):
    type = "unknown-collection"


class Unsupported(InputError):
    """`sentences` are those that are neither borne out by a guide nor marked as the advisor's own words."""

    type = "unsupported"

    def __init__(self, sentences: list[str]) -> None:
        shown = "; ".join(f"“{sentence}”" for sentence in sentences)
        super().__init__(f"No guide bears out {shown}. Change this, or send it as somebody's own words.")
        self.sentences = sentences


class SettingsError(AdvisorError):
    type = "invalid-settings"


class WeightsError(AdvisorError):
    type = "weights-unavailable"


class IndexMissing(AdvisorError):
    type = "index-missing"


class IndexMismatch(AdvisorError):
    type = "index-mismatch"


class ShrinkRefused(AdvisorError):
    type = "source-shrank"


class NotFound(AdvisorError):
    type = "not-found"


class Forbidden(AdvisorError):
    type = "forbidden"


class LoginRefused(AdvisorError):
    """Never says which of address and password was wrong."""

    type = "unauthorized"

    def __init__(self, message: str, *, wait_s: int = 0) -> None:
        super().__init__(message)
        self.wait_s = wait_s


class Conflict(AdvisorError):
    type = "conflict"


class ModelFailed(AdvisorError):
    """`reason` is one word of: timeout, refused, overloaded, unreachable, rejected, auth, truncated, garbage, empty."""

    type = "model-failed"

    def __init__(self, reason: str) -> None:
        super().__init__(f"The chat model gave no usable reply ({reason}). Ask again, or unset IMG_ADVISOR_MODEL to do without one.")
        self.reason = reason
