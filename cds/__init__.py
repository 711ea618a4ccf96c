"""Everything that touches the world: web app, EHR, PACS, store, scheduler, scoring worker, command line."""
