"""Raw media to shard sets: stories, conversational clips, face tracks."""
