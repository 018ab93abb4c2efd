"""The guides and tables as they are indexed, for their pages."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from bot import tables
from bot.answer import SourceRef
from bot.errors import NotFound
from bot.parts import Parts
from bot.passage import Chunk, FactRef
from bot.rows import TablePage, table_page
from bot.work import GuidePage


class Shelf(Parts):
    """The part of the front door that shows what the guides say."""

    async def guides(self) -> list[GuidePage]:
        """All guides of the default collection, by slug."""
        return list((await self._guide_pages()).values())

    async def guide(self, slug: str) -> GuidePage:
        """
        Raises:
            NotFound: there is no such guide.
        """
        pages = await self._guide_pages()
        if slug not in pages:
            raise NotFound("There is no such guide. The list of guides shows what there is.")
        return pages[slug]

    async def chunk(self, chunk_id: str) -> Chunk:
        """A passage of the default collection, or a row of its tables: what a citation's quote stands in.

        Raises:
            NotFound: the knowledge holds no such passage now.
        """
        index = (await self._room(None)).index
        if chunk_id in index.rows:
            return index.chunks[index.rows[chunk_id]]
        found = next((row for row in index.table_rows if row.chunk_id == chunk_id), None)
        if found is None:
            raise NotFound("There is no such passage now. The guide may have changed since.")
        return found

    async def _guide_pages(self) -> dict[str, GuidePage]:
        room = await self._room(None)
        snapshot = room.index.meta["snapshot"]
        if self._pages[0] != snapshot:
            table = tables.documents
            query = (
                sa.select(table.c.document_id, table.c.title, table.c.body, table.c.meta)
                .where(table.c.collection == self._collection)
                .order_by(table.c.document_id)
            )
            async with self.engine.connect() as connection:
                rows = (await connection.execute(query)).all()
            self._pages = (snapshot, {row.document_id: _page(*row) for row in rows if row.meta["kind"] == "guide"})
        return self._pages[1]

    async def tables(self) -> list[TablePage]:
        """All tables of the default collection, as pages."""
        room = await self._room(None)
        snapshot = room.index.meta["snapshot"]
        if self._table_pages[0] != snapshot:
            table = tables.documents
            query = sa.select(table.c.document_id, table.c.title, table.c.meta).where(table.c.collection == self._collection)
            async with self.engine.connect() as connection:
                found = [row for row in (await connection.execute(query)).all() if row.meta["kind"] == "table"]
            pages = [table_page(row.document_id, row.title, row.meta, room.index.table_rows) for row in found]
            self._table_pages = (snapshot, sorted(pages, key=lambda page: page.title))
        return self._table_pages[1]

    async def table(self, name: str) -> TablePage:
        """
        Raises:
            NotFound: there is no such table.
        """
        for page in await self.tables():
            if page.name == name:
                return page
        raise NotFound("There is no such table. The list of tables shows what there is.")


def _page(slug: str, title: str, body: str, meta: dict[str, Any]) -> GuidePage:
    facts = {
        key: FactRef(key, SourceRef(**fact["source"]), fact["as_of"], fact["volatile"], fact["confidence"], tuple(fact["conflicts"]))
        for key, fact in meta.get("facts", {}).items()
    }
    return GuidePage(
        slug, title, meta["summary"], tuple(meta["audience"]), tuple(meta["topics"]), meta["as_of"], meta["review_by"], body, facts,
        meta.get("charts", {}),
    )
