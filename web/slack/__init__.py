"""The Slack door: what people write there becomes Questions, Answers become messages. Nothing here knows how an answer is found.

door (what Slack sends, acknowledged and queued) -> talk (is it for us?) -> speak (the answer, streamed or posted once).
"""
