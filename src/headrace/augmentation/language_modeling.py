"""Running text is trained on as it is: there is no policy, and `augment` passes it on without copies."""
