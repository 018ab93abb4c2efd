"""The doors: HTTP API, guide pages and the demo page. They render what `bot.advisor.Advisor` hands out."""
