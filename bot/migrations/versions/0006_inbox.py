"""The inbox: what an item's place in the queue rests on, who has seen it, pasted mail, and search over what was said."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# The words of conversations with a hand-off lie in a table of their own, which each kind of database has in its own way, and triggers
# keep it in step. A later migration that rebuilds `messages` or `handoffs` on SQLite (batch_alter_table) loses the triggers and has to
# make them again; tests/bot/test_inbox.py tells. A backup that replaces all tables leaves this one, so it may be there already.
SQLITE = (
    "DROP TABLE IF EXISTS message_words",
    "CREATE VIRTUAL TABLE message_words USING fts5(conversation_id UNINDEXED, words, tokenize = 'unicode61 remove_diacritics 2')",
    "INSERT INTO message_words (rowid, conversation_id, words) SELECT seq, conversation_id, text FROM messages "
    "WHERE conversation_id IN (SELECT conversation_id FROM handoffs)",
    "CREATE TRIGGER message_words_said AFTER INSERT ON messages "
    "WHEN EXISTS (SELECT 1 FROM handoffs WHERE conversation_id = new.conversation_id) BEGIN "
    "INSERT INTO message_words (rowid, conversation_id, words) VALUES (new.seq, new.conversation_id, new.text); END",
    "CREATE TRIGGER message_words_asked AFTER INSERT ON handoffs "
    "WHEN NOT EXISTS (SELECT 1 FROM handoffs WHERE conversation_id = new.conversation_id AND id <> new.id) BEGIN "
    "INSERT INTO message_words (rowid, conversation_id, words) SELECT seq, conversation_id, text FROM messages "
    "WHERE conversation_id = new.conversation_id; END",
    "CREATE TRIGGER message_words_gone AFTER DELETE ON messages BEGIN DELETE FROM message_words WHERE rowid = old.seq; END",
)
# Small letters without accents, whatever stands between the words: as bot.fulltext.plain reads what is looked for.
POSTGRES = (
    "DROP TABLE IF EXISTS message_words",
    "CREATE TABLE message_words (seq bigint PRIMARY KEY, conversation_id varchar(40) NOT NULL, words tsvector NOT NULL)",
    "CREATE INDEX message_words_words ON message_words USING gin (words)",
    """CREATE OR REPLACE FUNCTION message_words_of(said text) RETURNS tsvector LANGUAGE sql IMMUTABLE AS $$
    SELECT to_tsvector('simple', regexp_replace(
        regexp_replace(lower(normalize(said, NFKD)), '[\\u0300-\\u036f]', '', 'g'), '[^[:alnum:]]+', ' ', 'g')) $$""",
    "INSERT INTO message_words SELECT seq, conversation_id, message_words_of(text) FROM messages "
    "WHERE conversation_id IN (SELECT conversation_id FROM handoffs)",
    """CREATE OR REPLACE FUNCTION message_words_said() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF EXISTS (SELECT 1 FROM handoffs WHERE conversation_id = NEW.conversation_id) THEN
        INSERT INTO message_words VALUES (NEW.seq, NEW.conversation_id, message_words_of(NEW.text)) ON CONFLICT DO NOTHING;
    END IF; RETURN NULL; END $$""",
    """CREATE OR REPLACE FUNCTION message_words_asked() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO message_words SELECT seq, conversation_id, message_words_of(text) FROM messages
        WHERE conversation_id = NEW.conversation_id ON CONFLICT DO NOTHING;
    RETURN NULL; END $$""",
    """CREATE OR REPLACE FUNCTION message_words_gone() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    DELETE FROM message_words WHERE seq = OLD.seq; RETURN NULL; END $$""",
    "CREATE TRIGGER message_words_said AFTER INSERT ON messages FOR EACH ROW EXECUTE FUNCTION message_words_said()",
    "CREATE TRIGGER message_words_asked AFTER INSERT ON handoffs FOR EACH ROW EXECUTE FUNCTION message_words_asked()",
    "CREATE TRIGGER message_words_gone AFTER DELETE ON messages FOR EACH ROW EXECUTE FUNCTION message_words_gone()",
)


def upgrade() -> None:
    for column in (
        sa.Column("channel", sa.String(20), nullable=False, server_default="widget"),
        sa.Column("language", sa.String(35)),
        sa.Column("heard_at", sa.String(40)),
        sa.Column("waiting_since", sa.String(40)),
        sa.Column("emergency", sa.Integer, nullable=False, server_default="0"),
        sa.Column("due", sa.String(10)),
        sa.Column("due_for", sa.String(200)),
        sa.Column("weighed", sa.Integer, nullable=False, server_default="0"),
        sa.Column("priority", sa.Integer),
        sa.Column("rev", sa.Integer, nullable=False, server_default="0"),
    ):
        op.add_column("handoffs", column)
    op.create_index("ix_handoffs_state", "handoffs", ["state", "rev", "waiting_since"])
    op.create_index("ix_handoffs_weighed", "handoffs", ["weighed"])
    op.create_table(
        "item_views",
        sa.Column("handoff_id", sa.String(40), sa.ForeignKey("handoffs.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("account_id", sa.String(200), primary_key=True),
        sa.Column("seen_at", sa.String(40), nullable=False),
        sa.Column("here_until", sa.String(40), nullable=False),
    )
    op.create_index("ix_item_views_here_until", "item_views", ["here_until"])
    op.create_table(
        "mails",
        sa.Column("conversation_id", sa.String(40), sa.ForeignKey("conversations.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("sender", sa.String(200), nullable=False),
        sa.Column("subject", sa.String(300), nullable=False),
        sa.Column("words", sa.Text, nullable=False),
    )
    for statement in FILL:
        op.execute(statement)
    connection = op.get_bind()
    for statement in SQLITE if connection.dialect.name == "sqlite" else POSTGRES:
        connection.exec_driver_sql(statement)


_SAID = "FROM messages m WHERE m.conversation_id = handoffs.conversation_id"
FILL = (
    "UPDATE handoffs SET channel = 'slack' WHERE conversation_id IN (SELECT id FROM conversations WHERE site LIKE 'slack\\:%')",
    f"UPDATE handoffs SET heard_at = (SELECT max(m.created_at) {_SAID} AND m.role = 'user'), "
    f"language = (SELECT m.language {_SAID} AND m.language IS NOT NULL ORDER BY m.seq DESC LIMIT 1)",
    "UPDATE handoffs SET waiting_since = created_at WHERE state IN ('requested', 'assigned')",
    f"UPDATE handoffs SET emergency = 1 WHERE EXISTS (SELECT 1 {_SAID} AND m.id IN (SELECT id FROM answers WHERE status = 'handoff'))",
)
