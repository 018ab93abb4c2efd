"""Rooms where people type: while the database does not answer, what they typed is given back to them, to be sent again."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request
from fastapi.responses import Response
from fastapi.routing import APIRoute

from bot.database import is_away
from web.console.frame import fields_of, is_form, render
from web.problems import problem, respond, wants_page

RETRY_S = 5


class KeepingRoute(APIRoute):
    """`APIRouter(route_class=KeepingRoute)`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer = super().get_route_handler()

        async def kept(request: Request) -> Response:
            try:
                return await answer(request)
            except Exception as error:
                if not is_away(error):
                    raise
                return await _given_back(request)

        return kept


async def _given_back(request: Request) -> Response:
    if wants_page(request) and is_form(request):
        path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        fields = await fields_of(request)
        response = render(request, None, "console/away.html", status_code=503, target=path, fields=fields)
        response.headers["Retry-After"] = str(RETRY_S)
        return response
    shown = problem("database-away", "The database does not answer at the moment. Try again in a few seconds.", retry_after_s=RETRY_S)
    return respond(request, shown)
