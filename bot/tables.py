"""Every table, in one place. Alembic's migrations (`bot/migrations/`) bring a database to this shape.

The index lives in the database, the vectors that are searched first in Chroma; the two cannot be committed together, so
the database is the truth: a run writes a new Chroma collection (a snapshot, never changed afterwards), then switches the
database to it in one transaction, then removes older snapshots. A run that was killed leaves the old snapshot serving.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    text,
)

metadata = MetaData()

collections = Table(
    "index_collections",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("knowledge_version", String(64), nullable=False),  # hash over all chunk ids and their metadata
    Column("embedder", String(200), nullable=False),  # name@hash of the weights
    Column("chunker", String(40), nullable=False),
    Column("snapshot", String(100), nullable=False),  # Chroma collection that holds the chunks' vectors of this version
    Column("built_at", String(40), nullable=False),
    Column("keywords", LargeBinary, nullable=False),  # bot.keywords.Keywords.to_bytes
    Column("meta", JSON, nullable=False),  # conflicts, counts
)

documents = Table(
    "index_documents",
    metadata,
    Column("collection", String(64), primary_key=True),
    Column("document_id", String(300), primary_key=True),
    Column("root", String(1000), nullable=False),  # the source it came from: what vanishes from there is removed
    Column("content_hash", String(64), nullable=False),
    Column("title", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("meta", JSON, nullable=False),
    ForeignKeyConstraint(["collection"], ["index_collections.name"], ondelete="CASCADE"),
)

chunks = Table(
    "index_chunks",
    metadata,
    Column("collection", String(64), primary_key=True),
    Column("chunk_id", String(64), primary_key=True),
    Column("document_id", String(300), nullable=False),
    Column("position", Integer, nullable=False),
    Column("text", Text, nullable=False),
    Column("meta", JSON, nullable=False),  # bot.passage.Chunk without its text
    Column("vectors", LargeBinary, nullable=False),  # float32: the chunk, its sentences, its questions
    ForeignKeyConstraint(["collection", "document_id"], ["index_documents.collection", "index_documents.document_id"], ondelete="CASCADE"),
    Index("ix_index_chunks_document", "collection", "document_id"),
)

# Conversations. Times are UTC, ISO-8601 with microseconds, so that they sort as text. Whatever belongs to a conversation hangs
# on its row by ON DELETE CASCADE: forgetting one is one statement, and a table that is added later cannot be left out by mistake.

conversations = Table(
    "conversations",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("token_hash", String(64), nullable=False),  # HMAC-SHA256; the token itself is never stored
    Column("site", String(300), nullable=False),
    Column("profile", JSON(none_as_null=True)),  # bot.answer.Profile, only the fields that were given
    Column("model_tokens_in", BigInteger, nullable=False, server_default="0"),  # what the chat model has cost
    Column("model_tokens_out", BigInteger, nullable=False, server_default="0"),
    Column("model_seconds", Float, nullable=False, server_default="0"),
    Column("model_usd", Float, nullable=False, server_default="0"),
    Column("created_at", String(40), nullable=False),
    Column("memory", JSON(none_as_null=True)),  # bot.memory.Memory
)

messages = Table(
    "messages",
    metadata,
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),  # the order of a conversation
    Column("id", String(64), nullable=False, unique=True),
    Column("conversation_id", String(40), ForeignKey("conversations.id", ondelete="CASCADE"), nullable=False),
    Column("role", String(10), nullable=False),  # user, assistant, advisor
    Column("text", Text, nullable=False),
    Column("language", String(35)),
    Column("created_at", String(40), nullable=False),
    Index("ix_messages_conversation", "conversation_id", "seq"),
)

answers = Table(
    "answers",
    metadata,
    Column("id", String(64), ForeignKey("messages.id", ondelete="CASCADE"), primary_key=True),
    Column("question_id", String(64), ForeignKey("messages.id", ondelete="CASCADE"), nullable=False, unique=True),
    Column("status", String(20), nullable=False),
    Column("body", LargeBinary, nullable=False),  # the JSON of bot.answer.Answer, byte for byte as it was first sent
)

feedback = Table(
    "feedback",
    metadata,
    Column("answer_id", String(64), ForeignKey("answers.id", ondelete="CASCADE"), primary_key=True),
    Column("value", Integer, nullable=False),  # 1 or -1
    Column("reason", Text),
    Column("comment", Text),
    Column("updated_at", String(40), nullable=False),
)

handoffs = Table(
    "handoffs",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("conversation_id", String(40), ForeignKey("conversations.id", ondelete="CASCADE"), nullable=False),
    Column("reason", Text, nullable=False),
    Column("state", String(20), nullable=False),  # requested, assigned, answered, closed
    Column("created_at", String(40), nullable=False),
    Column("updated_at", String(40), nullable=False),
    Column("advisor", String(200)),  # who took it on: an account's id, or a name that was given on the command line
    Column("channel", String(20), nullable=False, server_default="widget"),  # widget, slack, mail
    Column("language", String(35)),  # of the applicant's last message that tells it
    Column("heard_at", String(40)),  # when the applicant last wrote
    Column("waiting_since", String(40)),  # NULL while nothing waits for an advisor
    Column("emergency", Integer, nullable=False, server_default="0"),  # 1: an answer sent the applicant to emergency help
    Column("due", String(10)),  # the next day of the season that the conversation is about, as a date
    Column("due_for", String(200)),  # what falls due then
    Column("weighed", Integer, nullable=False, server_default="0"),  # 1: emergency and due are worked out of all that was said
    Column("priority", Integer),  # set by hand: 0 urgent, 1 high, 2 normal, 3 low
    Column("rev", Integer, nullable=False, server_default="0"),  # counts changes: their sum tells cheaply whether anything moved
    # At most one open hand-off a conversation, whoever asks at the same moment.
    Index(
        "uq_handoffs_open",
        "conversation_id",
        unique=True,
        sqlite_where=text("state IN ('requested', 'assigned')"),
        postgresql_where=text("state IN ('requested', 'assigned')"),
    ),
    Index("ix_handoffs_conversation", "conversation_id", "created_at"),
    Index("ix_handoffs_state", "state", "rev", "waiting_since"),  # all that the inbox' pulse reads
    Index("ix_handoffs_weighed", "weighed"),
)

item_views = Table(
    "item_views",
    metadata,
    Column("handoff_id", String(40), ForeignKey("handoffs.id", ondelete="CASCADE"), primary_key=True),
    Column("account_id", String(200), primary_key=True),
    Column("seen_at", String(40), nullable=False),  # what came later is unread
    Column("here_until", String(40), nullable=False, index=True),  # is looking at it, if that is to come
)

mails = Table(
    "mails",
    metadata,
    Column("conversation_id", String(40), ForeignKey("conversations.id", ondelete="CASCADE"), primary_key=True),
    Column("sender", String(200), nullable=False),
    Column("subject", String(300), nullable=False),
    Column("words", Text, nullable=False),  # of both, as bot.fulltext looks for them
)

replies = Table(
    "replies",
    metadata,
    Column("id", String(64), ForeignKey("messages.id", ondelete="CASCADE"), primary_key=True),
    Column("handoff_id", String(40), ForeignKey("handoffs.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("advisor", String(200), nullable=False),  # who wrote it
    Column("body", LargeBinary, nullable=False),  # the JSON of bot.answer.Reply, byte for byte as it was first sent
)

# Work that must last until it is done, and workspaces (Slack's) that the app is installed in.

jobs = Table(
    "jobs",
    metadata,
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("kind", String(40), nullable=False),
    Column("key", String(200), nullable=False),  # what comes twice under one key is done once
    Column("owner", String(80), nullable=False),  # whose it is: removed with its owner
    Column("lane", String(200), nullable=False),  # jobs of one lane are done one after the other; empty: no lane
    Column("payload", JSON(none_as_null=True)),  # gone as soon as the job is over
    Column("note", JSON(none_as_null=True)),  # how far it is, for whoever tries again
    Column("state", String(10), nullable=False),  # waiting, running, done, failed
    Column("attempts", Integer, nullable=False),
    Column("due_at", Float, nullable=False),  # seconds since 1970; of a running job: until when it is somebody's
    Column("worker", String(64)),
    Column("ended_at", Float),
    Index("uq_jobs_key", "kind", "key", unique=True),
    Index("ix_jobs_due", "state", "due_at"),
    Index("ix_jobs_lane", "lane", "seq"),
    Index("ix_jobs_owner", "owner"),
)

workspaces = Table(
    "workspaces",
    metadata,
    Column("team", String(40), primary_key=True),
    Column("name", Text, nullable=False),
    Column("bot_user", String(40), nullable=False),
    Column("bot_id", String(40), nullable=False),
    Column("scopes", Text, nullable=False),
    Column("tokens", LargeBinary),  # encrypted: bot.workspaces.Tokens; null where the token is a setting
    Column("expires_at", Float),  # when the access token has to be renewed; null: never
    Column("settings", JSON, nullable=False),  # bot.workspaces.Preferences
    Column("installed_by", String(40), nullable=False),
    Column("created_at", String(40), nullable=False),  # when it was installed, last
    Column("updated_at", String(40), nullable=False),
)

workspace_states = Table(
    "workspace_states",
    metadata,
    Column("hash", String(64), primary_key=True),  # of the state of an installation under way; used once
    Column("expires_at", Float, nullable=False),
)

workspace_channels = Table(
    "workspace_channels",
    metadata,
    Column("team", String(40), ForeignKey("workspaces.team", ondelete="CASCADE"), primary_key=True),
    Column("channel", String(40), primary_key=True),
    Column("mode", String(20), nullable=False),  # bot.workspaces.Mode
    Column("set_by", String(40), nullable=False),
    Column("updated_at", String(40), nullable=False),
)

workspace_threads = Table(
    "workspace_threads",
    metadata,
    Column("team", String(40), ForeignKey("workspaces.team", ondelete="CASCADE"), primary_key=True),
    Column("channel", String(40), primary_key=True),
    Column("thread", String(80), primary_key=True),
    Column("conversation_id", String(40), ForeignKey("conversations.id", ondelete="CASCADE"), nullable=False, unique=True),
    Column("user", String(40), nullable=False),  # who began it
    Column("private", Boolean, nullable=False),  # nobody else reads it
    Column("created_at", String(40), nullable=False),
    Index("ix_workspace_threads_user", "team", "user"),
)

workspace_messages = Table(
    "workspace_messages",
    metadata,
    Column("team", String(40), primary_key=True),
    Column("channel", String(40), primary_key=True),
    Column("ts", String(80), primary_key=True),  # of the question
    Column("conversation_id", String(40), ForeignKey("conversations.id", ondelete="CASCADE"), nullable=False),
    Column("text_hash", String(64), nullable=False),
    Column("answer_id", String(64)),
    Column("answer_ts", String(80)),
    Index("ix_workspace_messages_conversation", "conversation_id"),
)

# Which message tells of a hand-off. It stays when the hand-off is forgotten, until that message is taken back: so no foreign key there.
handoff_notices = Table(
    "handoff_notices",
    metadata,
    Column("team", String(40), ForeignKey("workspaces.team", ondelete="CASCADE"), primary_key=True),
    Column("handoff_id", String(40), primary_key=True),
    Column("channel", String(40), nullable=False),
    Column("ts", String(40), nullable=False),
    Column("shown", String(240), nullable=False),  # state:advisor, as the message tells it
)

secrets = Table(
    "secrets",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", LargeBinary, nullable=False),  # random bytes, made once
    Column("created_at", String(40), nullable=False),
)

# The console's people. Passwords are argon2id hashes, tokens of sessions SHA-256: neither can be read back.

accounts = Table(
    "accounts",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("email", String(254), nullable=False, unique=True),  # in lower case
    Column("name", String(100), nullable=False),  # as applicants see it
    Column("roles", JSON, nullable=False),  # a list of: advisor, editor, admin
    Column("password_hash", String(200)),  # none: signs in through the identity provider only
    Column("password_until", String(40)),  # until when a first password can be used; none: it was chosen by its owner
    Column("subject", String(600), unique=True),  # issuer and subject at the identity provider
    Column("disabled_at", String(40)),
    Column("created_at", String(40), nullable=False),
    Column("last_login_at", String(40)),
)

sessions = Table(
    "sessions",
    metadata,
    Column("token_hash", String(64), primary_key=True),
    Column("account_id", String(40), ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("created_at", String(40), nullable=False),
    Column("seen_at", String(40), nullable=False),
    Column("device", String(200), nullable=False),  # the browser, in a few words
)

login_failures = Table(
    "login_failures",
    metadata,
    Column("key", String(64), primary_key=True),  # hash of an account's or a network address
    Column("count", Integer, nullable=False),
    Column("last_at", String(40), nullable=False),
    Column("until", String(40)),  # nobody is let in before
)

audit = Table(
    "audit",
    metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),  # 1, 2, 3, without gaps
    Column("at", String(40), nullable=False),
    Column("actor", String(200), nullable=False),
    Column("action", String(100), nullable=False),
    Column("subject", String(200), nullable=False),
    Column("detail", Text, nullable=False),  # JSON, byte for byte as it was hashed
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False, unique=True),
    Index("ix_audit_subject", "subject", "number"),
)

# The console: what advisors write before it is sent.

drafts = Table(
    "drafts",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("handoff_id", String(40), ForeignKey("handoffs.id", ondelete="CASCADE"), nullable=False),
    Column("state", String(20), nullable=False),  # proposed, edited, approved, sent, discarded
    Column("tone", String(20), nullable=False),
    Column("length", String(20), nullable=False),
    Column("language", String(35), nullable=False),
    Column("version", Integer, nullable=False),  # number of the version that holds; others are history, or lost a race
    Column("seen", BigInteger, nullable=False),  # messages.seq of the applicant's last message that it answers
    Column("created_at", String(40), nullable=False),
    Column("updated_at", String(40), nullable=False),
    Column("approved_version", Integer),
    Column("approved_by", String(200)),
    Column("approved_at", String(40)),
    Column("reply_id", String(64), ForeignKey("replies.id", ondelete="CASCADE")),  # what it became when it was sent
    Column("sent_at", String(40)),
    # At most one open draft a hand-off, whoever begins one at the same moment.
    Index(
        "uq_drafts_open",
        "handoff_id",
        unique=True,
        sqlite_where=text("state IN ('proposed', 'edited', 'approved')"),
        postgresql_where=text("state IN ('proposed', 'edited', 'approved')"),
    ),
    Index("ix_drafts_handoff", "handoff_id", "created_at"),
)

draft_versions = Table(
    "draft_versions",
    metadata,
    Column("draft_id", String(40), ForeignKey("drafts.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("kind", String(20), nullable=False),  # proposed, refreshed, edited, restored, rewritten, beside (it lost a race)
    Column("text", Text, nullable=False),
    Column("author", String(200), nullable=False),  # account id, or "system"
    Column("base", Integer),  # the version it was written over
    Column("sha256", String(64), nullable=False),  # of the text
    Column("created_at", String(40), nullable=False),
)

notes = Table(
    "notes",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("handoff_id", String(40), ForeignKey("handoffs.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("author", String(200), nullable=False),
    Column("text", Text, nullable=False),
    Column("created_at", String(40), nullable=False),
)

macros = Table(
    "macros",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("title", String(200), nullable=False),
    Column("text", Text, nullable=False),  # may name evidence by its keys
    Column("review_by", String(10), nullable=False),  # YYYY-MM-DD
    Column("author", String(200), nullable=False),  # who wrote it last
    Column("version", Integer, nullable=False),
    Column("created_at", String(40), nullable=False),
    Column("updated_at", String(40), nullable=False),
)
# Learning: what the console makes of what was asked, answered and sent. All of it can be made anew from the tables above.

answer_notes = Table(
    "answer_notes",
    metadata,
    # An answer, or an advisor's reply (status "reply").
    Column("answer_id", String(64), ForeignKey("messages.id", ondelete="CASCADE"), primary_key=True),
    Column("week", String(10), nullable=False),  # its Monday, YYYY-MM-DD
    Column("status", String(20), nullable=False),
    Column("shelf", String(100), nullable=False),  # of the guide it rests on, or else the nearest one: "visas"; "" for none
    Column("guide", String(300), nullable=False),
    Column("gap", Integer, nullable=False),  # 0: no gap in the guides; 1: one that belongs to no task yet; 2: it belongs to one
    Index("ix_answer_notes_week", "week", "status", "shelf", "guide"),
    Index("ix_answer_notes_gap", "gap", sqlite_where=text("gap = 1"), postgresql_where=text("gap = 1")),
)

answer_facts = Table(
    "answer_facts",
    metadata,
    Column("answer_id", String(64), ForeignKey("messages.id", ondelete="CASCADE"), primary_key=True),
    Column("n", Integer, primary_key=True, autoincrement=False),  # number of the citation
    Column("fact", String(200), nullable=False),  # id in facts.yaml
    Index("ix_answer_facts_fact", "fact", "answer_id"),
)

source_counts = Table(
    "source_counts",
    metadata,
    Column("week", String(10), primary_key=True),
    Column("source", String(400), primary_key=True),
    Column("count", Integer, nullable=False),  # answers that cite it; whose conversation is forgotten stays counted
)

known_facts = Table(
    "known_facts",
    metadata,
    Column("fact", String(200), primary_key=True),
    Column("state", JSON, nullable=False),  # bot.changes.FactState as it was when it was last looked at
)

fact_changes = Table(
    "fact_changes",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("fact", String(200), nullable=False, index=True),
    Column("kind", String(20), nullable=False),  # fact, scope, date, gone
    Column("state", String(20), nullable=False),  # open, done
    Column("before", JSON, nullable=False),
    Column("after", JSON(none_as_null=True)),
    Column("created_at", String(40), nullable=False),
)

corrections = Table(
    "corrections",
    metadata,
    Column("change_id", String(40), ForeignKey("fact_changes.id", ondelete="CASCADE"), primary_key=True),
    Column("answer_id", String(64), ForeignKey("messages.id", ondelete="CASCADE"), primary_key=True),
    Column("state", String(20), nullable=False),  # drafted, dismissed
    Column("account", String(200), nullable=False),
    Column("handoff_id", String(40), ForeignKey("handoffs.id", ondelete="SET NULL")),  # where it was drafted
    Column("created_at", String(40), nullable=False),
)

knowledge_tasks = Table(
    "knowledge_tasks",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("kind", String(20), nullable=False),  # gap: asked and not in the guides; fact: an advisor corrected a draft
    Column("state", String(20), nullable=False),  # open, doing, done, declined
    Column("place", String(400), nullable=False),  # nearest section of a guide: slug#anchor
    Column("suggestion", JSON, nullable=False),  # bot.tasks.Suggestion
    Column("note", Text),  # what editors say to each other
    Column("account", String(200)),  # who takes care of it
    Column("reopened", Integer, nullable=False, server_default="0"),
    Column("created_at", String(40), nullable=False),
    Column("updated_at", String(40), nullable=False),
    Index("ix_knowledge_tasks_state", "state", "updated_at"),
)

task_questions = Table(
    "task_questions",
    metadata,
    Column("answer_id", String(64), ForeignKey("answers.id", ondelete="CASCADE"), primary_key=True),  # that could not answer it
    Column("task_id", String(40), ForeignKey("knowledge_tasks.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("vector", LargeBinary, nullable=False),  # float32, of the question
    Column("asked_at", String(40), nullable=False),
)

reply_edits = Table(
    "reply_edits",
    metadata,
    Column("reply_id", String(64), ForeignKey("replies.id", ondelete="CASCADE"), primary_key=True),
    Column("week", String(10), nullable=False),
    Column("kind", String(20), nullable=False),  # none, tone, scope, fact
    Column("changes", JSON, nullable=False),  # bot.edits.Change, one a changed sentence
    Column("task_id", String(40), ForeignKey("knowledge_tasks.id", ondelete="SET NULL"), index=True),
    Index("ix_reply_edits_week", "week", "kind"),
)

learned = Table(
    "learned",
    metadata,
    Column("name", String(40), primary_key=True),  # answers: the last message that was looked at; facts: the knowledge version
    Column("value", String(100), nullable=False),
)

golden_entries = Table(
    "golden_entries",
    metadata,
    Column("message_id", String(64), ForeignKey("messages.id", ondelete="CASCADE"), primary_key=True),  # the approved answer or reply
    Column("entry", String(100), nullable=False),  # id in the file
    Column("account", String(200), nullable=False),
    Column("created_at", String(40), nullable=False),
)

knowledge_runs = Table(
    "knowledge_runs",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("state", String(20), nullable=False),  # running, done, failed
    Column("account", String(200), nullable=False),
    Column("what", String(200), nullable=False),
    Column("done", Integer, nullable=False),
    Column("total", Integer, nullable=False),
    Column("outcome", Text, nullable=False),  # in words
    Column("created_at", String(40), nullable=False),
    Column("updated_at", String(40), nullable=False),
    Index("ix_knowledge_runs_created", "created_at"),
)

sign_ins = Table(
    "sign_ins",
    metadata,
    Column("state_hash", String(64), primary_key=True),  # of the value that travels to the identity provider and back
    Column("nonce", String(100), nullable=False),
    Column("verifier", String(200), nullable=False),  # PKCE
    Column("next", Text, nullable=False),  # where to go afterwards
    Column("carry", Text, nullable=False),  # what was typed when a session had ended; gone with the row, after ten minutes at most
    Column("created_at", String(40), nullable=False),
)
