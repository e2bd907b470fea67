"""What commands do, without a terminal: lines for a person go to the sink that the caller gives."""
