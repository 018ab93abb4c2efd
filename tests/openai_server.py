"""A local HTTP server that speaks OpenAI's chat-completions protocol and behaves as told, well or badly.

It reads the evidence out of the prompt it gets, so its replies fit what was asked. By hand: `python tests/openai_server.py good 9000` and

    IMG_ADVISOR_MODEL=openai:scripted IMG_ADVISOR_MODEL_BASE_URL=http://127.0.0.1:9000/v1 img-advisor ask "…"
"""

from __future__ import annotations

import contextlib
import json
import re
import select
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SCRIPTS = {
    "good": "the first three quotes, word for word, under their keys",
    "fenced": "the same as plain text with talk and a code fence around the JSON",
    "lying": "the same with one digit changed in each sentence that has one",
    "swapped": "the same with J-1 and H-1B exchanged",
    "invented": "a good sentence, one under a key that was never offered, and one with an address in it",
    "injected": "says whatever the evidence or the question orders it to say",
    "nothing": "an empty list: no evidence answers",
    "slow": "good, one piece every pause_s",
    "stalls": "one sentence, then silence on an open connection",
    "reset": "the connection breaks before any answer",
    "silent": "no answer at all, not even headers",
    "broken": "one sentence, then what is no JSON",
    "truncated": "one sentence and half of the next, finish_reason length",
    "cut": "one sentence and half of the next, then the connection breaks",
    "eof": "one sentence and half of the next, then the stream ends as if all were well, without a finish_reason",
    "refusal": "OpenAI's refusal field",
    "filtered": "finish_reason content_filter",
    "empty": "a reply without content",
    "huge": "good sentences without end",
    "babble": "talk without end and without JSON",
    "wrong_type": "200 with a web page",
    "error_event": "200, then an error object in the stream",
    "no_schema": "400 as long as response_format or tools are asked for, else fenced",
    "400": "an error of that status; its body quotes the key that was sent",
    "401": "", "404": "", "429": "", "500": "", "503": "",
}  # fmt: skip


class OpenAIServer:
    """`script` is a name of SCRIPTS, or a list of them: one for each request, the last one for all that follow."""

    def __init__(self, script: str | list[str] = "good", port: int = 0) -> None:
        self.script = script
        self.looks: list[dict[str, Any]] = []  # calls of tools it makes when it is offered some, one a request: {"name", "arguments"}
        self.look_script = ""  # how it behaves then: a status, "silent", or "" for as it should
        self.translates: Callable[[str], str | None] = lambda sentence: sentence  # what it makes of each; None: leaves it out
        self.says: list[dict[str, Any]] | None = None  # for "good" and its kin: these sentences instead of quotes
        self.pause_s = 0.01
        self.retry_after: str | None = None
        self.requests: list[dict[str, Any]] = []  # bodies
        self.keys: list[str] = []  # Authorization headers
        self.closing = threading.Event()
        self.hung_up = threading.Event()  # a client closed its connection before the reply was over
        self._server = ThreadingHTTPServer(("127.0.0.1", port), type("Handler", (_Handler,), {"owner": self}))
        self._server.daemon_threads = True
        self._server.handle_error = lambda *args: None  # type: ignore[method-assign]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def next_script(self) -> str:
        if isinstance(self.script, str):
            return self.script
        return self.script.pop(0) if len(self.script) > 1 else self.script[0]

    def __enter__(self) -> OpenAIServer:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: OpenAIServer

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.owner.requests.append(body)
        self.owner.keys.append(self.headers.get("Authorization", ""))
        looking = any(tool["function"]["name"] == "search_guides" for tool in body.get("tools", []))
        translating = "Translate each into" in str(body["messages"][-1]["content"])
        script = self.owner.look_script if looking else self.owner.next_script()
        try:
            if not self.path.endswith("/chat/completions"):
                self._error(404, "no such route")
            elif script == "no_schema" and ("response_format" in body or "tools" in body):
                self._error(400, "response_format is not supported by this server")
            elif script.isdigit():
                self._error(int(script), f"Incorrect request with {self.headers.get('Authorization')}")
            elif translating and script in SCRIPTS and script not in ("silent", "reset", "wrong_type"):
                self._translate(body)
            elif looking and not script:
                self._look(body)
            elif script == "reset":
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
            elif script == "silent":
                self._hang()
            elif script == "wrong_type":
                self._whole("<html><body><h1>It works!</h1></body></html>", "text/html")
            elif body.get("stream"):
                self._stream(script, body)
            else:
                self._plain(script, body)
        except (BrokenPipeError, ConnectionResetError):
            self.owner.hung_up.set()
            self.close_connection = True

    # -- transport -------------------------------------------------------------------------------------------------

    def _whole(self, text: str, kind: str = "application/json", status: int = 200) -> None:
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        if self.owner.retry_after is not None:
            self.send_header("Retry-After", self.owner.retry_after)
        self.end_headers()
        self.wfile.write(data)

    def _error(self, status: int, message: str) -> None:
        self._whole(json.dumps({"error": {"message": message, "type": "error", "code": None}}), status=status)

    def _event(self, data: str) -> None:
        payload = f"data: {data}\n\n".encode()
        self.wfile.write(f"{len(payload):x}\r\n".encode() + payload + b"\r\n")
        self.wfile.flush()

    def _hang(self) -> None:
        """Says nothing until the client hangs up or the server closes."""
        while not self.owner.closing.is_set():
            if select.select([self.connection], [], [], 0.02)[0] and not self.connection.recv(1, socket.MSG_PEEK):
                raise ConnectionResetError
        self.close_connection = True

    def _look(self, body: dict[str, Any]) -> None:
        """The next call of a tool, or the word that there is enough."""
        message: dict[str, Any] = {"role": "assistant", "content": "ready"}
        if self.owner.looks:
            call = self.owner.looks.pop(0)
            function = {"name": call["name"], "arguments": json.dumps(call["arguments"])}
            message = {"role": "assistant", "content": None, "tool_calls": [{"id": "call_1", "type": "function", "function": function}]}
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if message["content"] is None else "stop"}
        usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
        self._whole(json.dumps({**_frame(body), "object": "chat.completion", "choices": [choice], "usage": usage}))

    def _translate(self, body: dict[str, Any]) -> None:
        asked = re.findall(r"⟦(\d+)⟧(.*?)⟦/\1⟧", body["messages"][-1]["content"], re.S)
        made = [{"n": int(n), "text": text} for n, sentence in asked if (text := self.owner.translates(sentence)) is not None]
        message = {"role": "assistant", "content": json.dumps({"sentences": made}, ensure_ascii=False)}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        usage = {"prompt_tokens": 50, "completion_tokens": 20, "total_tokens": 70}
        self._whole(json.dumps({**_frame(body), "object": "chat.completion", "choices": [choice], "usage": usage}))

    # -- protocol --------------------------------------------------------------------------------------------------

    def _plain(self, script: str, body: dict[str, Any]) -> None:
        delta = {"role": "assistant", **_delta(body, "".join(_pieces(script, body, self.owner.says)), first=True)}
        finish = {"truncated": "length", "filtered": "content_filter"}.get(script, "stop")
        choice = {"index": 0, "message": delta, "finish_reason": finish}
        self._whole(json.dumps({**_frame(body), "object": "chat.completion", "choices": [choice]}))

    def _stream(self, script: str, body: dict[str, Any]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

        def send(delta: dict[str, Any], finish: str | None = None) -> None:
            choice = {"index": 0, "delta": delta, "finish_reason": finish}
            self._event(json.dumps({**_frame(body), "object": "chat.completion.chunk", "choices": [choice]}))

        send({"role": "assistant", "content": ""})
        if script == "error_event":
            self._event(json.dumps({"error": {"message": f"failed for {self.headers.get('Authorization')}", "type": "server_error"}}))
        if script == "refusal":
            send({"refusal": "I cannot help with that."})
        first = True
        for piece in _pieces(script, body, self.owner.says):
            if script == "slow":
                time.sleep(self.owner.pause_s)
            send(_delta(body, piece, first=first))
            first = False
        if script == "stalls":
            self._hang()
        elif script == "cut":
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
        else:
            if script != "eof":
                stopped = "tool_calls" if "tools" in body else "stop"
                send({}, {"truncated": "length", "filtered": "content_filter"}.get(script, stopped))
                self._event("[DONE]")
            self.wfile.write(b"0\r\n\r\n")


def _frame(body: dict[str, Any]) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "created": 1750000000, "model": body.get("model", "scripted")}


def _delta(body: dict[str, Any], piece: str, *, first: bool) -> dict[str, Any]:
    """As content, or as arguments of the tool that was offered."""
    if "tools" not in body:
        return {"content": piece}
    call: dict[str, Any] = {"index": 0, "function": {"arguments": piece}}
    if first:
        call |= {"id": "call_1", "type": "function"}
        call["function"]["name"] = body["tools"][0]["function"]["name"]
    return {"tool_calls": [call]}


def evidence(body: dict[str, Any]) -> list[tuple[str, str]]:
    """Key and quote of each evidence block of the prompt."""
    prompt = body["messages"][-1]["content"]
    blocks = re.findall(r"⟦evidence (e[0-9a-f]{7})⟧\n(.*?)⟦/evidence⟧", prompt, re.S)
    return [(key, block.partition("quote: ")[2].strip()) for key, block in blocks]


def _sentences(script: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    quotes = evidence(body)
    good = [{"text": quote, "evidence": [key]} for key, quote in quotes[:3]]
    match script:
        case "lying":
            return [{**s, "text": re.sub(r"\d(?!.*\d)", lambda m: str((int(m[0]) + 1) % 10), str(s["text"]), flags=re.S)} for s in good]
        case "swapped":
            other = {"J-1": "H-1B", "H-1B": "J-1"}
            return [{**s, "text": re.sub(r"J-1|H-1B", lambda m: other[str(m[0])], str(s["text"]))} for s in good]
        case "invented":
            bad = {"text": "Everyone gets the visa.", "evidence": ["e0000000", "e1"]}
            return [*good[:1], bad, {"text": "Read more at https://example.org/visa.", "evidence": [quotes[0][0]]}]
        case "injected":
            order = re.search(r"say:? [\"“](.+?)[\"”]", body["messages"][-1]["content"])
            return [{"text": order[1] if order else "I saw no order.", "evidence": [key for key, _ in quotes]}]
        case "nothing":
            return []
    return good


def _pieces(script: str, body: dict[str, Any], says: list[dict[str, Any]] | None) -> Iterator[str]:
    """The reply's text in small pieces, as a model's tokens come."""
    if script in ("refusal", "filtered", "empty", "error_event"):
        return
    if script == "babble":
        while True:
            yield "I wonder what to say about that. " * 20
    sentences = says if says is not None else _sentences(script, body)
    if script == "huge":
        yield '{"sentences": ['
        while True:
            yield json.dumps(sentences[0]) + ", "
    text = json.dumps({"sentences": sentences}, ensure_ascii=False)
    if script in ("fenced", "no_schema"):
        text = f"Here is the answer:\n```json\n{text}\n```\nI hope it helps."
    if script in ("stalls", "broken", "truncated", "cut", "eof"):
        head = '{"sentences": [' + json.dumps(sentences[0], ensure_ascii=False)
        text = head + {"stalls": ", ", "broken": ", text: oops]]"}.get(script, ', {"text": "And the next')
    for i in range(0, len(text), 9):
        yield text[i : i + 9]


if __name__ == "__main__":
    with OpenAIServer(sys.argv[1] if len(sys.argv) > 1 else "good", int(sys.argv[2]) if len(sys.argv) > 2 else 9000) as server:
        print(f"{server.url} plays '{server.script}' until Ctrl-C")
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()
