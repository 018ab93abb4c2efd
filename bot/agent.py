"""A chat model that looks things up: it chooses tools, and searches again in other words, where the evidence at hand is thin.

It writes nothing that anyone sees. What it finds is evidence for the writer, and whatever is written from it is verified like all else.
It is held by middleware: so many calls of the model, so many of tools, and what is left of the conversation's budget.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bot.answer import Profile, Turn
from bot.errors import AdvisorError
from bot.evidence import Evidence
from bot.orders import gives_orders
from bot.prompts import Prompts
from bot.spent import Budget, Spent, tokens_of
from bot.writer import MAX_QUESTION_CHARS, MAX_TURN_CHARS, MAX_TURNS, data, shown

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.tools import BaseTool

log = logging.getLogger(__name__)

Search = Callable[[str], Awaitable[list[Evidence]]]
MOST_TOOL_CALLS = 3
"""A step of the model may ask for several things at once, but not for more than this."""
REST_S = 600.0
"""How long a model that could not call tools is not asked to. Its server may learn it, or have had another reason to refuse."""
SENTENCES_A_SEARCH = 6
MAX_QUERY_CHARS = 400


@dataclass(slots=True)
class Gathered:
    """What was looked up. `steps` are for the trace, in words; `failed` says why the model could not look."""

    evidence: list[Evidence] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)
    spent: Spent = Spent()
    failed: str | None = None


class Agent:
    """`steps`: model calls at most for one question."""

    def __init__(self, model: BaseChatModel, prompts: Prompts, *, steps: int, timeout_s: float, budget: Budget) -> None:
        self._model = model
        self._prompts = prompts
        self._steps = steps
        self._timeout_s = timeout_s
        self._budget = budget
        self._rests_until = 0.0  # this model, or its server, cannot call tools: not asked till then

    async def gather(
        self, question: str, offered: Sequence[Evidence], search: Search, *, tools: Sequence[BaseTool] = (),
        history: Sequence[Turn] = (), profile: Profile | None = None, spent: Spent | None = None,
    ) -> Gathered:  # fmt: skip
        """Never raises on the model's account: what it cannot do is told in `failed`.

        Args:
            offered: the evidence at hand.
            tools: looked-up tables, besides the search of the guides.
            spent: what the conversation has cost so far.
        """
        found = Gathered()
        if time.monotonic() < self._rests_until or not self._steps:
            return found
        began = time.perf_counter()
        counted = _Count(self._budget, spent or Spent())
        try:
            async with asyncio.timeout(self._timeout_s):
                graph = self._graph([_search_tool(search, found, self._prompts), *tools], counted)
                user = self._prompts.render(
                    "agent.user",
                    question=data(question[:MAX_QUESTION_CHARS]),
                    evidence=[shown(item) for item in offered if not gives_orders(item.chunk.text)],
                    history=[{"role": turn.role, "text": data(turn.text[:MAX_TURN_CHARS])} for turn in history[-MAX_TURNS:]],
                    profile={k: data(str(v)) for k, v in profile.model_dump(exclude_none=True).items()} if profile else {},
                )
                await graph.ainvoke({"messages": [("user", user)]}, {"recursion_limit": 6 * self._steps + 6})
        except TimeoutError:
            found.failed = "timeout"
        except AdvisorError:
            raise
        except Exception as error:  # each provider has its own tree of errors; their texts may quote the request or the key
            status = getattr(error, "status_code", None)
            # Once it has called one, such an error has another reason: what was found is too long, say.
            unable = not counted.tokens_in and (isinstance(error, NotImplementedError) or status in (400, 404, 422))
            self._rests_until = time.monotonic() + REST_S if unable else 0.0
            found.failed = "it cannot call tools" if unable else "it failed"
            log.warning("The chat model could not look things up (%s, status %s).", type(error).__name__, status)
        found.spent = self._budget.spent(counted.tokens_in, counted.tokens_out, time.perf_counter() - began)
        if counted.stopped:
            found.steps.append(f"looking up ended: the conversation's budget of {counted.stopped} is used up")
        return found

    def _graph(self, tools: list[BaseTool], counted: _Count) -> Any:
        from langchain.agents import create_agent
        from langchain.agents.middleware import ModelCallLimitMiddleware, ToolCallLimitMiddleware, ToolErrorMiddleware

        return create_agent(
            self._model,
            tools,
            system_prompt=self._prompts.render("agent.system"),
            middleware=[
                ModelCallLimitMiddleware(run_limit=self._steps, exit_behavior="end"),
                ToolCallLimitMiddleware(run_limit=MOST_TOOL_CALLS * self._steps, exit_behavior="continue"),
                # The text of our own errors is for people and names no secret; of others only the kind is told.
                ToolErrorMiddleware(lambda error, *_: _told(error)),
                _middleware(counted),
            ],
        )


def _told(error: Exception) -> str:
    return str(error) if isinstance(error, AdvisorError) else f"It failed: {type(error).__name__}."


@dataclass(slots=True)
class _Count:
    budget: Budget
    before: Spent
    tokens_in: int = 0
    tokens_out: int = 0
    stopped: str = ""

    def add(self, messages: Sequence[Any]) -> None:
        reply = messages[-1]
        asked = sum(len(str(message.content)) for message in messages[:-1])
        more_in, more_out = tokens_of(getattr(reply, "usage_metadata", None), asked, len(str(reply.content)))
        self.tokens_in += more_in
        self.tokens_out += more_out

    @property
    def used_up(self) -> str:
        return self.budget.used_up(self.before + self.budget.spent(self.tokens_in, self.tokens_out))


def _middleware(counted: _Count) -> Any:
    """Counts what each call of the model costs, and ends the search where the budget does."""
    from langchain.agents.middleware import AgentMiddleware, hook_config

    class Budgeted(AgentMiddleware):
        @hook_config(can_jump_to=["end"])
        async def abefore_model(self, state: Any, runtime: Any) -> dict[str, Any] | None:
            counted.stopped = counted.used_up
            return {"jump_to": "end"} if counted.stopped else None

        async def aafter_model(self, state: Any, runtime: Any) -> None:
            counted.add(state["messages"])

    return Budgeted()


def _search_tool(search: Search, found: Gathered, prompts: Prompts) -> BaseTool:
    from langchain_core.tools import StructuredTool

    async def search_guides(query: str) -> str:
        query = " ".join(query.split())[:MAX_QUERY_CHARS]
        new = [item for item in await search(query) if not gives_orders(item.chunk.text)][:SENTENCES_A_SEARCH]
        known = {item.key for item in found.evidence}
        found.evidence += [item for item in new if item.key not in known]
        found.steps.append(f"the model searched: {query}")
        return prompts.render("agent.found", evidence=[shown(item) for item in new])

    return StructuredTool.from_function(
        coroutine=search_guides, name="search_guides",
        description="Searches the guides for sentences on a question about US residency of doctors trained abroad. Ask in plain English, "
        "one thing at a time, naming the visa, exam, state, form or program.",
    )  # fmt: skip
