"""Parts of the HTML pages that reports, checks and searches write: page, charts, pictures."""
