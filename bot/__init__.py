"""IMG Advisor: a question in, a verified and cited answer out.

The one front door is :class:`bot.advisor.Advisor`; doors (web, terminal) call it and render what comes back.
"""

__version__ = "0.1.0"
