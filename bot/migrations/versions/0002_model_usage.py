"""What the chat model has cost in a conversation."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name, kind in (
        ("model_tokens_in", sa.BigInteger), ("model_tokens_out", sa.BigInteger), ("model_seconds", sa.Float), ("model_usd", sa.Float)
    ):  # fmt: skip
        op.add_column("conversations", sa.Column(name, kind, nullable=False, server_default="0"))


def downgrade() -> None:
    for name in ("model_usd", "model_seconds", "model_tokens_out", "model_tokens_in"):
        op.drop_column("conversations", name)
