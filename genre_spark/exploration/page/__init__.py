"""From facts to pictures, sentences and the HTML page."""
