"""The day on which tests of the bot take place."""

import datetime as dt

TODAY = dt.date(2026, 11, 26)
