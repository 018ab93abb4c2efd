"""Learning: notes of answers, knowledge tasks, changed facts, golden questions, runs of ingest."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "fact_changes",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("fact", sa.String(200), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("before", sa.JSON(), nullable=False),
        sa.Column("after", sa.JSON(none_as_null=True)),
        sa.Column("created_at", sa.String(40), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_fact_changes_fact", "fact_changes", ["fact"])

    op.create_table(
        "knowledge_runs",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("account", sa.String(200), nullable=False),
        sa.Column("what", sa.String(200), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("created_at", sa.String(40), nullable=False),
        sa.Column("updated_at", sa.String(40), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_knowledge_runs_created", "knowledge_runs", ["created_at"])

    op.create_table(
        "knowledge_tasks",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("place", sa.String(400), nullable=False),
        sa.Column("suggestion", sa.JSON(), nullable=False),
        sa.Column("note", sa.Text()),
        sa.Column("account", sa.String(200)),
        sa.Column("reopened", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created_at", sa.String(40), nullable=False),
        sa.Column("updated_at", sa.String(40), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_knowledge_tasks_state", "knowledge_tasks", ["state", "updated_at"])

    op.create_table(
        "known_facts",
        sa.Column("fact", sa.String(200), nullable=False),
        sa.Column("state", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("fact"),
    )
    op.create_table(
        "learned",
        sa.Column("name", sa.String(40), nullable=False),
        sa.Column("value", sa.String(100), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "source_counts",
        sa.Column("week", sa.String(10), nullable=False),
        sa.Column("source", sa.String(400), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("week", "source"),
    )
    op.create_table(
        "answer_facts",
        sa.Column("answer_id", sa.String(64), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("fact", sa.String(200), nullable=False),
        sa.ForeignKeyConstraint(["answer_id"], ["messages.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("answer_id", "n"),
    )
    op.create_index("ix_answer_facts_fact", "answer_facts", ["fact", "answer_id"])

    op.create_table(
        "answer_notes",
        sa.Column("answer_id", sa.String(64), nullable=False),
        sa.Column("week", sa.String(10), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("shelf", sa.String(100), nullable=False),
        sa.Column("guide", sa.String(300), nullable=False),
        sa.Column("gap", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["answer_id"], ["messages.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("answer_id"),
    )
    op.create_index("ix_answer_notes_gap", "answer_notes", ["gap"], sqlite_where=sa.text("gap = 1"), postgresql_where=sa.text("gap = 1"))
    op.create_index("ix_answer_notes_week", "answer_notes", ["week", "status", "shelf", "guide"])

    op.create_table(
        "corrections",
        sa.Column("change_id", sa.String(40), nullable=False),
        sa.Column("answer_id", sa.String(64), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("account", sa.String(200), nullable=False),
        sa.Column("handoff_id", sa.String(40)),
        sa.Column("created_at", sa.String(40), nullable=False),
        sa.ForeignKeyConstraint(["answer_id"], ["messages.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["change_id"], ["fact_changes.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["handoff_id"], ["handoffs.id"], ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("change_id", "answer_id"),
    )
    op.create_table(
        "golden_entries",
        sa.Column("message_id", sa.String(64), nullable=False),
        sa.Column("entry", sa.String(100), nullable=False),
        sa.Column("account", sa.String(200), nullable=False),
        sa.Column("created_at", sa.String(40), nullable=False),
        sa.ForeignKeyConstraint(["message_id"], ["messages.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("message_id"),
    )
    op.create_table(
        "reply_edits",
        sa.Column("reply_id", sa.String(64), nullable=False),
        sa.Column("week", sa.String(10), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("changes", sa.JSON(), nullable=False),
        sa.Column("task_id", sa.String(40)),
        sa.ForeignKeyConstraint(["reply_id"], ["replies.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["task_id"], ["knowledge_tasks.id"], ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("reply_id"),
    )
    op.create_index("ix_reply_edits_task_id", "reply_edits", ["task_id"])
    op.create_index("ix_reply_edits_week", "reply_edits", ["week", "kind"])

    op.create_table(
        "task_questions",
        sa.Column("answer_id", sa.String(64), nullable=False),
        sa.Column("task_id", sa.String(40), nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=False),
        sa.Column("asked_at", sa.String(40), nullable=False),
        sa.ForeignKeyConstraint(["answer_id"], ["answers.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["task_id"], ["knowledge_tasks.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("answer_id"),
    )
    op.create_index("ix_task_questions_task_id", "task_questions", ["task_id"])
