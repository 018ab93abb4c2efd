"""IMG Advisor: a question in, a verified and cited answer out.

The one front door is :class:`bot.advisor.Advisor`; doors (web, terminal) call it and render what comes back.
"""

import os

# onnxruntime reports its use to its maker from a background thread, unless this stands in the environment before it is imported;
# its own disable_telemetry_events() comes too late. Nothing here calls out unasked.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

__version__ = "0.1.0"
