"""Which web sites may embed the chat and call the API, and for which of them a request is made.

A site is a web origin (`https://school.example`) that IMG_ADVISOR_SITES names; this server itself is the site "". Two things in a browser
vouch for a site, and a page can forge neither: the `Origin` header of its own calls, and `frame-ancestors` on the chat frame. The frame of
a site (`/widget/frame?site=…`) can be framed by that site's pages and by no others, and tells the API its site in the header
`Advisor-Site`, which counts only where the call comes from this server's own pages. A conversation belongs to the site it was started on.
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import HTTPConnection

from web.problems import WebError

HEADER = "Advisor-Site"
OWN = ""

FRAME_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors {ancestors}; require-trusted-types-for 'script'; trusted-types 'none'"
)


class Sites:
    def __init__(self, origins: Sequence[str]) -> None:
        self.origins = frozenset(origins)

    def of(self, request: HTTPConnection) -> str:
        """The site a call is made for.

        Raises:
            WebError: 403, a page of a site that is not allowed calls, or another site than the caller's is named.
        """
        origin = request.headers.get("origin", "")
        named = request.headers.get(HEADER, "")
        fetched = request.headers.get("sec-fetch-site", "")
        if not origin or fetched == "same-origin" or _is_own(origin, request):
            return self.allowed(named, request)
        if origin in self.origins:
            if named not in ("", origin):
                raise WebError("forbidden", f"A page may only speak for its own site. Leave out the header {HEADER}.")
            return origin
        if fetched:  # a browser says that another site's page is calling; scripts, which say nothing, speak for nobody
            raise _not_allowed()
        return OWN

    def allowed(self, name: str, request: HTTPConnection) -> str:
        """The site of this name, as a frame's address or a header gives it; none, or this server's own origin, is "".

        Raises:
            WebError: 403, it is not allowed here.
        """
        name = name.strip().rstrip("/")
        if not name or _is_own(name, request):
            return OWN
        if name in self.origins:
            return name
        raise _not_allowed()

    @staticmethod
    def frame_headers(site: str) -> dict[str, str]:
        """Of the chat frame: a policy that allows what it needs and no more, and only pages of `site` around it."""
        return {
            "Content-Security-Policy": FRAME_POLICY.format(ancestors=site or "'self'"),
            # A host page that isolates itself (Cross-Origin-Embedder-Policy) may embed it too.
            "Cross-Origin-Embedder-Policy": "require-corp",
            "Cross-Origin-Resource-Policy": "cross-origin",
        }


def _is_own(origin: str, request: HTTPConnection) -> bool:
    """By its host alone: a proxy with TLS in front of us knows the scheme, we do not."""
    return origin.partition("://")[2] == request.headers.get("host")


def _not_allowed() -> WebError:
    return WebError("forbidden", "This web site is not allowed to use this chat. Its operator can add it to IMG_ADVISOR_SITES.")
