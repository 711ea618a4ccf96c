"""What people look at in a browser: the page that a card links to."""
