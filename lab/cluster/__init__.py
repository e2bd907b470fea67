"""What the running lab says of itself. Nothing here changes anything."""
