"""What a site copies from deploy/."""
